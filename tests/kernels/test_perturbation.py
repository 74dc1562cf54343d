"""Changing one token changes exactly the outputs that the specification's words allow."""

import pytest
import torch

from latentreason_kernels import attention
from tests.kernels.cases import CASES, inputs


def changed_outputs(visibility, backend, device, dtype):
    """(B, Lq, Lk) bool: whether query i's output changes where key and value j change."""
    q, k, v, _ = inputs(visibility, heads=(1, 1), dim=16, dtype=dtype, device=device)
    q, k, v = q.detach(), k.detach(), v.detach()
    base = attention(q, k, v, visibility, backend=backend)
    found = torch.zeros(visibility.shape, dtype=torch.bool)
    for j in range(visibility.shape[2]):
        key, value = k.clone(), v.clone()
        key[:, :, j] += 1.0
        value[:, :, j] += 3.0
        out = attention(q, key, value, visibility, backend=backend)
        found[:, :, j] = (out != base).any(dim=-1).any(dim=1).cpu()
    return found


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_change_exactly_where_the_words_allow(name, backend):
    case = CASES[name]()
    found = changed_outputs(case.visibility, backend, "cpu", torch.float64)
    assert torch.equal(found, case.truth)


@pytest.mark.parametrize(
    "name",
    ["causal", "bidirectional", "prefix_lm", "ladir_inference", "ladir_denoising_with_cache",
     "block_diffusion", "packed", "left_padded"],
)  # fmt: skip
def test_triton_outputs_change_exactly_where_the_words_allow(name, triton_device):
    case = CASES[name]()
    visibility = case.visibility.to(triton_device)
    found = changed_outputs(visibility, "triton", triton_device, torch.float32)
    assert torch.equal(found, case.truth)


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_reach_exactly_the_keys_the_words_allow(name, backend):
    case = CASES[name]()
    q, k, v, _ = inputs(case.visibility, heads=(1, 1), dim=16)
    out = attention(q, k, v, case.visibility, backend=backend)
    for i in range(0, case.truth.shape[1], 5):
        gradient = torch.autograd.grad(out[:, :, i].sum(), v, retain_graph=True)[0]
        reached = (gradient != 0).any(dim=-1).any(dim=1)
        assert torch.equal(reached, case.truth[:, i])


def test_noisy_copies_change_no_committed_output():
    """X tokens are keys only for themselves: Q, C and S are the same with and without them."""
    from latentreason_kernels import Visibility
    from latentreason_kernels.latent_blocks import ladir_tokens

    with_copies = Visibility.of(ladir_tokens(5, [3, 4], 6, copies=3))
    without = Visibility.of(ladir_tokens(5, [3, 4], 6))
    q, k, v, _ = inputs(with_copies, dim=16)
    length = without.shape[1]
    short = attention(q[:, :, :length], k[:, :, :length], v[:, :, :length], without)
    long = attention(q, k, v, with_copies)
    torch.testing.assert_close(long[:, :, :length], short, atol=1e-13, rtol=0)
