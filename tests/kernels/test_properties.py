"""Properties that hold for every visibility, on random ones."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentreason_kernels import Tokens, Visibility, attention, layouts, merge_partials
from latentreason_kernels.plan import make_plan
from tests.kernels.cases import dense_reference, inputs

few = settings(max_examples=25, deadline=None)


@st.composite
def tokens(draw, batch=2, longest=40):
    length = draw(st.integers(1, longest))
    seed = draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)

    def field(low, high):
        return torch.randint(low, high, (batch, length), generator=generator, dtype=torch.int32)

    return Tokens(field(-1, 3), field(-2, 12), field(-2, 12), field(0, 3))


def by_definition(visibility: Visibility) -> torch.Tensor:
    """The contract's sentence, pair by pair."""
    batch, rows, columns = visibility.shape
    q, k = visibility.queries, visibility.keys
    table = torch.zeros(batch, rows, columns, dtype=torch.bool)
    for b in range(batch):
        for i in range(rows):
            for j in range(columns):
                if not int(q.doc[b, i]) == int(k.doc[b, j]) >= 0:
                    continue
                if int(k.group[b, j]) == 0:
                    table[b, i, j] = int(k.order[b, j]) <= int(q.reach[b, i])
                else:
                    table[b, i, j] = int(k.group[b, j]) == int(q.group[b, i])
    return table


@few
@given(tokens(longest=12), tokens(longest=12))
def test_dense_is_the_definition(queries, keys):
    visibility = Visibility(queries, keys)
    assert torch.equal(visibility.dense(), by_definition(visibility))


@few
@given(tokens(), tokens())
def test_sdpa_plan_covers_every_query_once_and_every_visible_key(queries, keys):
    visibility = Visibility(queries, keys)
    chunks = make_plan(visibility)
    edges = [(chunk.start, chunk.stop) for chunk in chunks]
    assert edges[0][0] == 0
    assert edges[-1][1] == visibility.shape[1]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    for chunk in chunks:
        read = torch.zeros(visibility.shape[2], dtype=torch.bool)
        for start, stop in chunk.runs:
            assert not read[start:stop].any()
            read[start:stop] = True
        seen = visibility.dense()[:, chunk.start : chunk.stop].any(dim=0).any(dim=0)
        assert not (seen & ~read).any()


@few
@given(tokens(), tokens(), st.integers(0, 1000))
def test_sdpa_equals_the_reference_for_any_integers(queries, keys, seed):
    visibility = Visibility(queries, keys)
    q, k, v, d_out = inputs(visibility, heads=(2, 1), dim=4, seed=seed)
    out = attention(q, k, v, visibility, backend="sdpa")
    expected, _ = dense_reference(q, k, v, visibility.dense())
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    mine, theirs = (torch.autograd.grad(o, (q, k, v), d_out) for o in (out, expected))
    for gradient, reference in zip(mine, theirs, strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-12, rtol=0)


@few
@given(tokens(), tokens(), st.data())
def test_any_split_of_the_keys_merges(queries, keys, data):
    visibility = Visibility(queries, keys)
    cut = data.draw(st.integers(0, keys.length))
    q, k, v, _ = inputs(visibility, heads=(2, 1), dim=4)
    parts = []
    for a, b in ((0, cut), (cut, keys.length)):
        rule = visibility.narrow_keys(a, b)
        parts += attention(q, k[:, :, a:b], v[:, :, a:b], rule, return_lse=True)
    whole = attention(q, k, v, visibility, return_lse=True)
    for part, reference in zip(merge_partials(*parts), whole, strict=True):
        torch.testing.assert_close(part, reference, atol=1e-12, rtol=0)


@few
@given(tokens(), st.randoms(use_true_random=False))
def test_the_order_of_keys_in_memory_does_not_matter(row, random):
    """Visibility is of the integers alone: keys may be permuted with their metadata."""
    order = list(range(row.length))
    random.shuffle(order)
    shuffled = Tokens(*(field[:, order] for field in row.fields()))
    visibility = Visibility.of(row)
    q, k, v, _ = inputs(visibility, heads=(1, 1), dim=4)
    out = attention(q, k, v, visibility)
    same = attention(q, k[:, :, order], v[:, :, order], Visibility(row, shuffled))
    torch.testing.assert_close(same, out, atol=1e-12, rtol=0)


@few
@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_packed_equals_separate(lengths):
    visibility = layouts.packed_causal(lengths, length=sum(lengths) + 3)
    q, k, v, _ = inputs(visibility, dim=4)
    out, first = attention(q, k, v, visibility), 0
    for length in lengths:
        own = slice(first, first + length)
        alone = attention(q[:, :, own], k[:, :, own], v[:, :, own], layouts.causal(length))
        torch.testing.assert_close(out[:, :, own], alone, atol=1e-9, rtol=0)
        first += length
    assert (out[:, :, first:] == 0).all()
