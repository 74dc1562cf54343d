"""Every named layout equals the truth table written from the words of its specification."""

import pytest
import torch

from latentreason_kernels import PADDING, Tokens, Visibility, layouts
from latentreason_kernels.latent_blocks import ladir, ladir_tokens, noisy_copy
from tests.kernels.cases import CASES


@pytest.mark.parametrize("name", CASES)
def test_layout_is_what_the_words_say(name):
    case = CASES[name]()
    assert torch.equal(case.visibility.dense(), case.truth)


@pytest.mark.parametrize("name", CASES)
def test_metadata_are_int32(name):
    visibility = CASES[name]().visibility
    fields = visibility.queries.fields() + visibility.keys.fields()
    assert {field.dtype for field in fields} == {torch.int32}


def test_ladir_matches_the_contracts_table():
    tokens = ladir_tokens(3, [2, 2], 1, 1)
    assert tokens.order.tolist() == [[0, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 3, 3, 3, 6, 6, 6]]
    assert tokens.reach.tolist() == [[0, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 2, 2, 2, 5, 5, 5]]
    assert tokens.group.tolist() == [[0] * 12 + [1, 1, 1, 2, 2, 2]]


def test_block_diffusion_with_block_one_is_a_causal_clean_half():
    dense = layouts.block_diffusion(6, 1).dense()[0]
    assert torch.equal(dense[:6, :6], torch.ones(6, 6).tril().bool())
    assert torch.equal(dense[6:, 6:], torch.eye(6).bool())


def test_packing_keeps_documents_of_padded_examples_apart():
    present = torch.tensor([[True, True, False]])
    padded = layouts.causal_tokens(3).with_padding(present)
    tokens = layouts.packed([padded, padded, layouts.causal_tokens(1)])
    assert tokens.doc.tolist() == [[0, 0, PADDING, 1, 1, PADDING, 2]]


def test_incremental_tokens_equal_the_whole_row():
    """A row built block by block behind a cache is the row built at once."""
    whole = ladir_tokens(4, [3, 2], 3)
    grown = Tokens.cat([ladir_tokens(4, [3, 2], 0), whole.narrow(13)])
    for mine, theirs in zip(grown.fields(), whole.fields(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: layouts.causal(-1), "length must be at least 0"),
        (lambda: layouts.prefix_lm(4, 5), "prefix must lie in 0..4"),
        (lambda: layouts.block_diffusion(4, 0), "block must be at least 1"),
        (lambda: layouts.packed([]), "at least one example"),
        (lambda: layouts.packed_causal([2, -1]), "lengths must be at least 0"),
        (lambda: noisy_copy(3, 2, 0), "group must be > 0"),
        (lambda: ladir([(-1, [2], 1)]), "question must be at least 0"),
        (lambda: ladir_tokens(2, [2], 2, length=4), "shorter than"),
    ],
)
def test_bad_arguments_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_two_copies_of_one_group_would_see_each_other():
    """Why groups must be unique: the same number twice joins the copies."""
    joined = Visibility.of(Tokens.cat([noisy_copy(1, 1, 7), noisy_copy(1, 1, 7)]))
    assert joined.dense().all()
