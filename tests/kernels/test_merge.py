"""Two partial results merge into the whole, with gradients, for any split of the keys."""

import math

import pytest
import torch

from latentreason_kernels import attention, merge_partials
from tests.kernels.cases import CASES, inputs


def _split(case, cut, backend):
    q, k, v, d_out = inputs(case.visibility, heads=(4, 2), dim=8)
    parts = []
    for a, b in ((0, cut), (cut, k.shape[2])):
        rule = case.visibility.narrow_keys(a, b)
        keys, values = k[:, :, a:b], v[:, :, a:b]
        parts += attention(q, keys, values, rule, backend=backend, return_lse=True)
    return (q, k, v), d_out, merge_partials(*parts)


@pytest.mark.parametrize("cut", [0, 1, 6])
@pytest.mark.parametrize("backend", ["naive", "sdpa"])
@pytest.mark.parametrize("name", ["causal", "ladir_training", "left_padded", "packed_mixed"])
def test_a_split_over_keys_merges_to_the_whole(name, backend, cut):
    case = CASES[name]()
    leaves, d_out, (out, lse) = _split(case, cut, backend)
    expected, expected_lse = attention(*leaves, case.visibility, backend="naive", return_lse=True)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(lse, expected_lse, atol=1e-12, rtol=0)
    mine, theirs = (torch.autograd.grad(o, leaves, d_out) for o in (out, expected))
    for gradient, reference in zip(mine, theirs, strict=True):
        torch.testing.assert_close(gradient, reference, atol=1e-12, rtol=0)


def test_merging_is_commutative_and_three_parts_work():
    torch.manual_seed(0)
    outs, lses = torch.randn(3, 1, 2, 4, 8), torch.randn(3, 1, 2, 4)
    there = merge_partials(outs[0], lses[0], outs[1], lses[1])
    back = merge_partials(outs[1], lses[1], outs[0], lses[0])
    torch.testing.assert_close(there[0], back[0])
    left = merge_partials(*there, outs[2], lses[2])[0]
    weights = torch.softmax(lses, 0)[..., None]
    torch.testing.assert_close(left, (outs * weights).sum(0))


def test_two_empty_parts_stay_empty_and_have_no_gradient():
    out = torch.zeros(1, 1, 2, 4, requires_grad=True)
    lse = torch.full((1, 1, 2), -math.inf, requires_grad=True)
    merged, log = merge_partials(out, lse, out, lse)
    assert (merged == 0).all()
    assert (log == -math.inf).all()
    merged.sum().backward()
    assert (out.grad == 0).all()
    assert (lse.grad == 0).all()


def test_large_scores_do_not_overflow():
    out = torch.ones(1, 1, 1, 4)
    lse = torch.full((1, 1, 1), 1e4)
    merged, log = merge_partials(out, lse, -out, lse - 1e4)
    assert torch.equal(merged, out)
    assert log.item() == 1e4


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        merge_partials(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2), torch.ones(1, 1, 3, 4), torch.ones(1, 1, 3))  # fmt: skip  # noqa: E501
