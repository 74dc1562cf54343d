"""The kernels natively, in every dtype, against the naive backend in fp64; memory on the device."""

import pytest
import torch

from latentreason_kernels import attention, layouts
from latentreason_kernels.latent_blocks import ladir
from tests.kernels.cases import CASES, dense_reference, inputs

pytestmark = pytest.mark.gpu
DTYPES = [torch.bfloat16, torch.float16, torch.float32]
BACKENDS = ["triton", "flex"]


def _errors(visibility, backend, dtype, heads=(4, 2), dim=64):
    """(name, error of the backend, error allowed) of output and gradients."""
    visibility = visibility.to("cuda")
    q, k, v, d_out = inputs(visibility, heads=heads, dim=dim, dtype=dtype, device="cuda")
    mask = visibility.dense()
    wide = [t.detach().double().requires_grad_() for t in (q, k, v)]
    exact, _ = dense_reference(*wide, mask)
    truth = [exact, *torch.autograd.grad(exact, wide, d_out.double())]

    def run(out):
        return [out, *torch.autograd.grad(out, (q, k, v), d_out)]

    blank = ~mask.any(-1)[:, None, :, None]
    plain = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=(mask | blank[:, 0])[:, None], enable_gqa=heads[0] != heads[1]
    ).masked_fill(blank, 0.0)
    mine = run(attention(q, k, v, visibility, backend=backend))
    for name, got, same_dtype, reference in zip(
        ("out", "dq", "dk", "dv"), mine, run(plain), truth, strict=True
    ):
        error = (got.double() - reference).abs().max().item()
        ulp = torch.finfo(dtype).eps * reference.abs().max().item()
        yield name, error, 2 * (same_dtype.double() - reference).abs().max().item() + 2 * ulp


def _assert_accurate(*args, **options):
    for name, error, allowed in _errors(*args, **options):
        assert error <= allowed, (name, error, allowed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_every_layout_in_every_dtype(name, dtype):
    _assert_accurate(CASES[name]().visibility, "triton", dtype)


@pytest.mark.parametrize("dim", [32, 64, 80, 96, 128, 256])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_head_dim_in_every_dtype(dtype, dim):
    visibility = ladir([(150, [16] * 6, 40), (70, [8] * 3, 20)], copies=3)
    _assert_accurate(visibility, "triton", dtype, heads=(4, 1), dim=dim)


@pytest.mark.parametrize("length", [1, 7, 63, 100, 129, 1000, 4200])
@pytest.mark.parametrize("dtype", DTYPES)
def test_odd_lengths(dtype, length):
    _assert_accurate(layouts.causal(length), "triton", dtype, heads=(2, 2))


@pytest.mark.parametrize("heads", [(8, 8), (8, 2), (8, 1)])
@pytest.mark.parametrize("queries", [1, 8])
def test_decode(queries, heads):
    visibility = layouts.causal(3000, batch=2).narrow_queries(-queries)
    _assert_accurate(visibility, "triton", torch.bfloat16, heads=heads, dim=128)


@pytest.mark.parametrize("name", ["causal", "ladir_training", "block_diffusion", "packed"])
def test_flex_trains_with_the_same_predicate(name):
    _assert_accurate(CASES[name]().visibility, "flex", torch.bfloat16)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lse_is_the_natural_logarithm(backend):
    visibility = ladir([(150, [16] * 6, 40)], copies=3).to("cuda")
    q, k, v, _ = inputs(visibility, dim=64, dtype=torch.bfloat16, device="cuda")
    _, lse = attention(q, k, v, visibility, backend=backend, return_lse=True)
    _, expected = dense_reference(q, k, v, visibility.dense())
    torch.testing.assert_close(lse.double(), expected, atol=1e-4, rtol=0)


def test_auto_is_triton_on_cuda_and_sdpa_for_fp64():
    from latentreason_kernels.attention import choose_backend

    assert choose_backend(torch.zeros(1, 1, 1, 64, device="cuda", dtype=torch.bfloat16)) == "triton"
    assert choose_backend(torch.zeros(1, 1, 1, 64, device="cuda", dtype=torch.float64)) == "sdpa"


def test_every_tuned_candidate_gives_the_same_result():
    """Tuning may pick any entry of the lists: all are within the error bound of the default."""
    from latentreason_kernels.triton_ops import configs, tuning

    visibility = ladir([(300, [16] * 8, 40)], copies=4)
    for kernel in configs.KERNELS:
        for dim in (64, 128):
            for config in configs.candidates(kernel, dim, torch.bfloat16):
                tuning.pin(kernel, config)
                _assert_accurate(visibility, "triton", torch.bfloat16, dim=dim)
            tuning.pin(kernel, None)


def test_memory_of_a_call_grows_linearly():
    """Peak of forward and backward at 16k over that at 4k: 4 x, not 16 x."""

    def peak(length):
        visibility = layouts.block_diffusion(length // 2, 32, device="cuda")
        q, k, v, d_out = inputs(visibility, dim=64, dtype=torch.bfloat16, device="cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        out = attention(q, k, v, visibility, backend="triton")
        torch.autograd.grad(out, (q, k, v), d_out)
        return torch.cuda.max_memory_allocated() - before

    peak(4096)
    assert peak(16384) <= 4.5 * peak(4096)


def test_nothing_is_compiled_anew_when_the_layout_changes():
    """Block sizes, roles and lengths are data: one compilation serves them all."""
    from latentreason_kernels.triton_ops.forward import forward_kernel

    def run(visibility):
        visibility = visibility.to("cuda")
        q, k, v, _ = inputs(visibility, dim=64, dtype=torch.bfloat16, device="cuda")
        attention(q, k, v, visibility, backend="triton")

    def compiled():
        return sum(len(cache[0]) for cache in forward_kernel.device_caches.values())

    run(layouts.causal(512))
    before = compiled()
    for visibility in (
        layouts.block_diffusion(256, 16),
        layouts.block_diffusion(512, 64),
        layouts.bidirectional(768),
        layouts.causal(1024),
    ):
        run(visibility)
    assert compiled() == before
