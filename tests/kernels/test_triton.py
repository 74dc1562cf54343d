"""The Triton kernels in fp32 against the fp64 reference, interpreted or on a GPU."""

import math

import pytest
import torch

from latentreason_kernels import Tokens, Visibility, attention, layouts, merge_partials
from latentreason_kernels.latent_blocks import ladir
from tests.kernels.cases import CASES, dense_reference, inputs

pytest.importorskip("triton")
# Of the largest number compared; fp32 sums of a few hundred terms, other dtypes are in test_gpu.py.
TOLERANCE = 3e-6


@pytest.fixture(autouse=True)
def poisoned():
    """Every torch.empty is filled with NaN (or the largest integer) before a kernel writes it."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(before)


def test_poison_works():
    assert torch.empty(3).isnan().all()


def check(visibility, truth, device, *, heads=(2, 2), dim=32, scale=None, lse_gradient=False):
    """Outputs, LSE and the three gradients against the reference."""
    visibility = visibility.to(device)
    q, k, v, d_out = inputs(visibility, heads=heads, dim=dim, dtype=torch.float32, device=device)
    out, lse = attention(q, k, v, visibility, backend="triton", scale=scale, return_lse=True)
    expected, expected_lse = dense_reference(q, k, v, truth.to(device), scale)
    assert torch.equal(torch.isinf(lse), torch.isinf(expected_lse))
    finite = torch.isfinite(expected_lse)

    def total(o, log):
        loss = (o * d_out).sum()
        if lse_gradient:
            loss = loss + (log.masked_fill(~finite, 0.0) * d_out[..., 0]).sum()
        return loss

    mine = torch.autograd.grad(total(out, lse), (q, k, v))
    theirs = torch.autograd.grad(total(expected, expected_lse), (q, k, v), allow_unused=True)
    pairs = [(out, expected), (lse[finite], expected_lse[finite]), *zip(mine, theirs, strict=True)]
    for mine_, reference in pairs:
        reference = torch.nan_to_num(reference)
        bound = TOLERANCE * max(1.0, reference.abs().max().item() if reference.numel() else 1.0)
        torch.testing.assert_close(mine_.double(), reference.double(), atol=bound, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_every_layout(name, triton_device):
    case = CASES[name]()
    check(case.visibility, case.truth, triton_device, lse_gradient=True)


@pytest.mark.parametrize("heads", [(4, 4), (4, 1), (8, 1), (8, 2)])
@pytest.mark.parametrize("name", ["ladir_training", "left_padded", "causal_with_cache"])
def test_grouped_query_heads(name, heads, triton_device):
    case = CASES[name]()
    check(case.visibility, case.truth, triton_device, heads=heads)


@pytest.mark.parametrize("dim", [32, 64, 80, 96, 128, 256])
@pytest.mark.parametrize("name", ["packed_mixed", "ladir_inference"])
def test_head_dims(name, dim, triton_device):
    case = CASES[name]()
    check(case.visibility, case.truth, triton_device, dim=dim, heads=(2, 1))


@pytest.mark.parametrize("length", [1, 7, 63, 100, 129])
@pytest.mark.parametrize("layout", ["causal", "bidirectional", "prefix", "diffusion"])
def test_odd_lengths(layout, length, triton_device):
    visibility = {
        "causal": lambda: layouts.causal(length),
        "bidirectional": lambda: layouts.bidirectional(length),
        "prefix": lambda: layouts.prefix_lm(length, length // 3),
        "diffusion": lambda: layouts.block_diffusion(length // 2 + 1, 5),
    }[layout]()
    check(visibility, visibility.dense(), triton_device, heads=(1, 1))


@pytest.mark.parametrize("sizes", [(1, 100), (7, 63), (63, 7), (129, 33), (40, 40)])
def test_queries_and_keys_of_different_length(sizes, triton_device):
    queries, keys = (layouts.causal_tokens(n) for n in sizes)
    visibility = Visibility(queries, keys)
    check(visibility, visibility.dense(), triton_device, heads=(2, 1))


@pytest.mark.parametrize("blocks", [[4] * 12, [31, 33, 32], [1, 60, 2]])
def test_block_borders_straddle_tiles(blocks, triton_device):
    visibility = ladir([(45, blocks, 30), (10, blocks[:1], 3)], copies=2)
    check(visibility, visibility.dense(), triton_device, heads=(2, 1))


@pytest.mark.parametrize("seed", range(6))
def test_random_integers_of_any_size(seed, triton_device):
    """Nothing about order, reach, doc or group is assumed: negative, huge and unsorted all work."""
    visibility = random_visibility(seed)
    check(visibility, visibility.dense(), triton_device, heads=(2, 1), lse_gradient=True)


def random_visibility(seed: int) -> Visibility:
    generator = torch.Generator().manual_seed(seed)

    def draw(choices, length):
        index = torch.randint(len(choices), (2, length), generator=generator)
        return torch.tensor(choices, dtype=torch.int32)[index]

    big = 2**31 - 1
    docs, orders = [-1, 0, 1, 5, big], [-big - 1, -3, 0, 1, 2, 7, big]
    groups = [0, 0, 1, 2, big]
    sides = [
        Tokens(draw(docs, n), draw(orders, n), draw(orders, n), draw(groups, n)) for n in (70, 90)
    ]
    return Visibility(*sides)


@pytest.mark.parametrize(
    ("queries", "heads"), [(1, (2, 2)), (5, (3, 1)), (16, (4, 1)), (1, (8, 2))]
)
def test_decode_splits_long_keys(queries, heads, triton_device):
    from latentreason_kernels.triton_ops.launch import fits_decode

    present = torch.arange(520) >= torch.tensor([[0], [130]])
    visibility = layouts.causal(520, batch=2).with_padding(present).narrow_queries(-queries)
    q, k, _, _ = inputs(visibility, heads=heads)
    assert fits_decode(q, k)
    check(visibility, visibility.dense(), triton_device, heads=heads)


def test_decode_of_noisy_copies_with_cache(triton_device):
    whole = ladir([(560, [4, 4], 0)], copies=2)
    new = whole.queries.narrow(-10)
    visibility = Visibility.with_cache(whole.keys.narrow(0, 566), new)
    check(visibility, visibility.dense(), triton_device, heads=(4, 2), dim=64)


def test_decode_of_a_row_that_sees_nothing(triton_device):
    visibility = layouts.causal(600, batch=2).narrow_queries(0, 4).narrow_keys(60)
    check(visibility, visibility.dense(), triton_device)


def test_more_tiles_than_one_chunk(monkeypatch, triton_device):
    """Runs of tiles are found again in every chunk of 128 tiles: 4200 keys are 132 tiles of 32."""
    visibility = layouts.causal(4200).narrow_queries(4170, 4200)
    q, k, v, _ = inputs(visibility, heads=(1, 1), dtype=torch.float32, device=triton_device)
    visibility = visibility.to(triton_device)
    out, lse = attention(q, k, v, visibility, backend="triton", return_lse=True)
    expected, expected_lse = dense_reference(q, k, v, visibility.dense())
    torch.testing.assert_close(out.double(), expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(lse.double(), expected_lse, atol=1e-5, rtol=0)


def test_no_keys_and_no_queries(triton_device):
    visibility = layouts.causal(4).narrow_keys(0, 0).to(triton_device)
    q, k, v, d_out = inputs(visibility, dtype=torch.float32, device=triton_device)
    out, lse = attention(q, k, v, visibility, backend="triton", return_lse=True)
    assert (out == 0).all()
    assert (lse == -math.inf).all()
    assert (torch.autograd.grad(out, q, d_out)[0] == 0).all()
    nothing = layouts.causal(4).narrow_queries(0, 0).to(triton_device)
    assert attention(q[:, :, :0], q, q, nothing, backend="triton").shape == (1, 2, 0, 32)


def test_non_contiguous_inputs_and_gradients(triton_device):
    case = CASES["ladir_training"]()
    visibility = case.visibility.to(triton_device)
    q, k, v, d_out = inputs(visibility, dtype=torch.float32, device=triton_device)
    by_token = [t.detach().transpose(1, 2).contiguous().transpose(1, 2) for t in (q, k, v)]
    by_dim = [t.detach().transpose(2, 3).contiguous().transpose(2, 3) for t in (q, k, v)]
    expected = torch.autograd.grad(
        attention(q, k, v, visibility, backend="triton"), (q, k, v), d_out
    )
    for turned in (by_token, by_dim):
        leaves = [t.requires_grad_() for t in turned]
        assert not leaves[0].is_contiguous()
        out = attention(*leaves, visibility, backend="triton")
        got = torch.autograd.grad(out, leaves, d_out.transpose(1, 2).contiguous().transpose(1, 2))
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_expanded_gradient_of_a_sum(triton_device):
    case = CASES["causal"]()
    visibility = case.visibility.to(triton_device)
    q, k, v, _ = inputs(visibility, dtype=torch.float32, device=triton_device)
    mine = torch.autograd.grad(attention(q, k, v, visibility, backend="triton").sum(), v)[0]
    theirs = torch.autograd.grad(attention(q, k, v, visibility, backend="naive").sum(), v)[0]
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_equal_calls_give_equal_bits(triton_device):
    case = CASES["ladir_straddles_tiles"]()
    visibility = case.visibility.to(triton_device)
    q, k, v, d_out = inputs(visibility, heads=(4, 1), dtype=torch.float32, device=triton_device)

    def run():
        out, lse = attention(q, k, v, visibility, backend="triton", return_lse=True)
        return [out, lse, *torch.autograd.grad(out, (q, k, v), d_out)]

    assert all(torch.equal(a, b) for a, b in zip(run(), run(), strict=True))


def test_shared_prefix_merges_to_the_whole(triton_device):
    """Three samples attend to one prompt once and to their own keys, then merge by LSE."""
    own = layouts.causal_tokens(9, start=50)
    prompt = layouts.causal_tokens(50)
    whole = Visibility.with_cache(prompt, own).expand(3).to(triton_device)
    q, k, v, _ = inputs(whole, dtype=torch.float32, device=triton_device)
    k = torch.cat([k[:1, :, :50].expand(3, -1, -1, -1), k[:, :, 50:]], dim=2)
    v = torch.cat([v[:1, :, :50].expand(3, -1, -1, -1), v[:, :, 50:]], dim=2)
    parts = [
        attention(
            q,
            k[:, :, a:b],
            v[:, :, a:b],
            whole.narrow_keys(a, b),
            backend="triton",
            return_lse=True,
        )
        for a, b in ((0, 50), (50, 59))
    ]
    out, lse = merge_partials(*parts[0], *parts[1])
    expected, expected_lse = attention(q, k, v, whole, backend="naive", return_lse=True)
    torch.testing.assert_close(out, expected, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(lse, expected_lse, atol=TOLERANCE, rtol=0)


def test_interpreter_refuses_half_precision(triton_device):
    if triton_device != "cpu":
        pytest.skip("only the interpreter is wrong in half precision")
    q, k, v, _ = inputs(layouts.causal(4), dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="fp32 only"):
        attention(q, k, v, layouts.causal(4), backend="triton")


def test_too_wide_heads_are_refused():
    q, k, v, _ = inputs(layouts.causal(4), dim=320, dtype=torch.float32)
    with pytest.raises(ValueError, match="takes up to 256"):
        attention(q, k, v, layouts.causal(4), backend="triton")
