"""Tokens and Visibility: composition, padding, caches, description, size."""

import pytest
import torch

from latentreason_kernels import Tokens, Visibility, describe, layouts, visible_pairs
from latentreason_kernels.latent_blocks import ladir, ladir_tokens
from tests.kernels.cases import CASES


@pytest.mark.parametrize("name", ["ladir_training", "block_diffusion", "packed_mixed", "prefix_lm"])
@pytest.mark.parametrize("left", [False, True])
def test_any_layout_composes_with_padding(name, left):
    case = CASES[name]()
    batch, length, _ = case.visibility.shape
    present = torch.ones(batch, length, dtype=torch.bool)
    present[:, : 3 if left else 0] = False
    present[:, length - (0 if left else 3) :] = False
    expected = case.truth & present[:, None, :] & present[:, :, None]
    assert torch.equal(case.visibility.with_padding(present).dense(), expected)


@pytest.mark.parametrize("name", ["causal", "ladir_training", "block_diffusion", "packed_mixed"])
@pytest.mark.parametrize("cut", [1, 8, 13])
def test_any_layout_composes_with_a_cache(name, cut):
    case = CASES[name]()
    tokens = case.visibility.queries
    cached = Visibility.with_cache(tokens.narrow(0, cut), tokens.narrow(cut))
    assert torch.equal(cached.dense(), case.truth[:, cut:])


def test_padding_mask_over_cache_and_new_tokens_applies_to_both():
    whole = layouts.causal(6, batch=2)
    present = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]])
    late = whole.narrow_queries(-2).with_padding(present)
    assert torch.equal(late.dense(), whole.with_padding(present).dense()[:, -2:])


def test_one_row_serves_a_whole_batch():
    visibility = layouts.causal(5)
    wide = visibility.expand(3)
    assert wide.shape == (3, 5, 5)
    assert wide is visibility.expand(3)
    with pytest.raises(ValueError, match="give 1 row or 4"):
        wide.expand(4)


def test_rows_can_be_repeated_for_several_samples():
    tokens = Tokens.stack([ladir_tokens(2, [1], 1), ladir_tokens(4, [2], 2)])
    repeated = tokens.repeat_interleave(3)
    assert repeated.batch == 6
    assert torch.equal(repeated.doc[3:], tokens.doc[1:].expand(3, -1))
    assert torch.equal(tokens.rows(1, 2).order, tokens.order[1:])


def test_describe_counts_what_there_is():
    text = describe(ladir([(3, [2, 2], 2)], copies=2))
    assert "25 queries x 25 keys" in text
    assert "1 document, 13 public, 12 private in 4 groups, 0 padding" in text


def test_describe_names_the_queries_of_a_cache():
    text = describe(layouts.causal(9, batch=6).narrow_queries(-2))
    assert "6 rows of 2 queries x 9 keys" in text
    assert "queries: 1 document, 2 public" in text
    assert "and 2 more rows" in text


@pytest.mark.parametrize("name", CASES)
def test_visible_pairs_counts_the_mask(name):
    case = CASES[name]()
    assert torch.equal(visible_pairs(case.visibility), case.truth.sum(dim=(1, 2)))


def test_metadata_grow_linearly_with_length():
    """A 16k row is 16 times the bytes of a 1k row, on the meta device: no L x L anywhere."""

    def size(length: int) -> int:
        visibility = layouts.block_diffusion(length // 2, 32, device="meta")
        return sum(f.numel() * f.element_size() for f in visibility.queries.fields())

    assert size(16384) == 16 * size(1024) == 16384 * 4 * 4


def test_building_long_layouts_allocates_no_square(monkeypatch):
    """The largest tensor made while building 16k tokens of LaDiR has O(L) elements."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                largest = max(largest, result.numel())
            return result

    with Watch():
        visibility = ladir([(2000, [64] * 16, 200)], copies=12)
        layouts.packed_causal([100] * 160)
        layouts.causal(16384).with_padding(torch.ones(1, 16384))
    assert visibility.shape[1] > 15000
    assert largest <= 4 * 16500


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((torch.zeros(1, 3), *[torch.zeros(1, 3, dtype=torch.int32)] * 3), "integer tensor"),
        ((*[torch.zeros(1, 3, dtype=torch.int32)] * 3, torch.zeros(1, 4).int()), "must agree"),
        ((torch.zeros(3).int(),) * 4, "integer tensor"),
        ((torch.ones(1, 3, dtype=torch.bool),) * 4, "integer tensor"),
    ],
)
def test_bad_fields_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Tokens(*fields)


def test_batches_that_disagree_are_refused():
    tokens = layouts.causal_tokens(3, batch=2)
    with pytest.raises(ValueError, match="must agree"):
        Visibility(tokens, layouts.causal_tokens(3, batch=3))
    with pytest.raises(ValueError, match="3 keys"):
        Visibility.of(tokens).with_padding(torch.ones(2, 5))
    with pytest.raises(ValueError, match="one value per token"):
        tokens.with_padding(torch.ones(3, 3))
