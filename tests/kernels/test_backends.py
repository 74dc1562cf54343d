"""naive, sdpa and flex against a plain fp64 reference: outputs, LSE, gradients, errors."""

import logging
import math

import pytest
import torch

from latentreason_kernels import attention, layouts
from latentreason_kernels import attention as attention_function
from latentreason_kernels.attention import _say_once, choose_backend
from tests.kernels.cases import CASES, dense_reference, inputs


def _gradients(out, leaves, d_out):
    return torch.autograd.grad(out, leaves, d_out)


@pytest.mark.parametrize("heads", [(2, 2), (4, 1), (8, 2)])
@pytest.mark.parametrize("backend", ["naive", "sdpa"])
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_equal_the_reference(name, backend, heads):
    case = CASES[name]()
    q, k, v, d_out = inputs(case.visibility, heads=heads, dim=8)
    out = attention(q, k, v, case.visibility, backend=backend)
    expected, _ = dense_reference(q, k, v, case.truth)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    mine, theirs = (_gradients(o, (q, k, v), d_out) for o in (out, expected))
    for grad, reference in zip(mine, theirs, strict=True):
        torch.testing.assert_close(grad, reference, atol=1e-12, rtol=0)


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
@pytest.mark.parametrize("name", CASES)
def test_lse_and_its_gradient_equal_the_reference(name, backend):
    case = CASES[name]()
    q, k, v, d_out = inputs(case.visibility, heads=(4, 2), dim=8)
    out, lse = attention(q, k, v, case.visibility, backend=backend, return_lse=True)
    expected, expected_lse = dense_reference(q, k, v, case.truth)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(lse, expected_lse, atol=1e-12, rtol=0)
    finite = torch.isfinite(expected_lse)

    def total(o, log):
        return (o * d_out).sum() + (log.masked_fill(~finite, 0.0) * d_out[..., 0]).sum()

    mine = torch.autograd.grad(total(out, lse), (q, k, v))
    theirs = torch.autograd.grad(total(expected, expected_lse), (q, k, v))
    for grad, reference in zip(mine, theirs, strict=True):
        torch.testing.assert_close(grad, torch.nan_to_num(reference), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_flex_predicate_equals_the_reference(name):
    case = CASES[name]()
    q, k, v, _ = inputs(case.visibility, heads=(4, 2), dim=16, dtype=torch.float32)
    with torch.no_grad():
        out, lse = attention(q, k, v, case.visibility, backend="flex", return_lse=True)
    expected, expected_lse = dense_reference(q, k, v, case.truth)
    torch.testing.assert_close(out.double(), expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(lse.double(), expected_lse, atol=2e-6, rtol=0)


def test_flex_refuses_to_train_on_cpu():
    q, k, v, _ = inputs(layouts.causal(4), dim=16, dtype=torch.float32)
    with pytest.raises(NotImplementedError, match="no backward on CPU"):
        attention(q, k, v, layouts.causal(4), backend="flex")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("backend", ["naive", "sdpa"])
@pytest.mark.parametrize("name", ["causal", "ladir_training", "packed", "left_padded"])
def test_low_precision_rounds_no_worse_than_torch(name, backend, dtype):
    """Error of the backend <= 2 x that of SDPA in the same dtype + 2 ulp of the largest output."""
    case = CASES[name]()
    q, k, v, _ = inputs(case.visibility, dim=32, dtype=dtype)
    exact, _ = dense_reference(q, k, v, case.truth)
    blank = ~case.truth.any(-1)[:, None, :, None]
    plain = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=(case.truth | ~case.truth.any(-1, keepdim=True))[:, None]
    ).masked_fill(blank, 0.0)
    out = attention(q, k, v, case.visibility, backend=backend)
    assert out.dtype == dtype
    ulp = torch.finfo(dtype).eps * exact.abs().max()
    bound = 2 * (plain.double() - exact).abs().max() + 2 * ulp
    assert (out.double() - exact).abs().max() <= bound


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
def test_first_derivatives_pass_gradcheck(backend):
    case = CASES["ladir_straddles_tiles"]()
    visibility = case.visibility.narrow_queries(40, 60)
    q, k, v, _ = inputs(visibility, heads=(2, 1), dim=4)
    assert torch.autograd.gradcheck(
        lambda *t: attention(*t, visibility, backend=backend, return_lse=True)[0],
        (q, k, v),
        fast_mode=True,
    )


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
def test_scale_is_applied(backend):
    case = CASES["causal"]()
    q, k, v, _ = inputs(case.visibility, dim=8)
    out = attention(q, k, v, case.visibility, scale=0.9, backend=backend)
    expected, _ = dense_reference(q, k, v, case.truth, scale=0.9)
    torch.testing.assert_close(out, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
def test_non_contiguous_inputs_are_fine(backend):
    case = CASES["packed_mixed"]()
    q, k, v, _ = inputs(case.visibility, dim=8)
    turned = [t.detach().transpose(1, 2).contiguous().transpose(1, 2) for t in (q, k, v)]
    assert not turned[0].is_contiguous()
    same = attention(*turned, case.visibility, backend=backend)
    assert torch.equal(same, attention(q, k, v, case.visibility, backend=backend))


@pytest.mark.parametrize("backend", ["naive", "sdpa"])
def test_padding_rows_give_zero_minus_infinity_and_no_gradient(backend):
    case = CASES["left_padded"]()
    q, k, v, d_out = inputs(case.visibility, dim=8)
    out, lse = attention(q, k, v, case.visibility, backend=backend, return_lse=True)
    grads = torch.autograd.grad(out, (q, k, v), d_out)
    assert (out[1, :, :8] == 0).all()
    assert (lse[1, :, :8] == -math.inf).all()
    assert all((grad[1, :, :8] == 0).all() for grad in grads)


def test_auto_says_once_which_backend_it_takes(caplog):
    _say_once.cache_clear()
    q, k, v, _ = inputs(layouts.causal(3), dim=8)
    with caplog.at_level(logging.DEBUG, logger="latentreason_kernels.attention"):
        for _ in range(2):
            attention(q, k, v, layouts.causal(3))
    assert [r.message for r in caplog.records].count(
        "attention backend auto: sdpa on cpu for torch.float64"
    ) == 1
    assert choose_backend(q) == "sdpa"


def _call(q=(1, 2, 3, 8), k=(1, 2, 3, 8), v=None, visibility=None, dtype=torch.float32, **options):
    visibility = layouts.causal(3) if visibility is None else visibility
    made = [torch.randn(shape, dtype=dtype) for shape in (q, k, v or k)]
    return attention_function(*made, visibility, **options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"backend": "cuda"}, "allowed: auto, naive, sdpa, flex, triton"),
        ({"visibility": torch.ones(3, 3)}, "needs a Visibility"),
        ({"visibility": layouts.causal(4)}, "4 queries and 4 keys, q has 3"),
        ({"visibility": layouts.causal(3, batch=2)}, "give 1 row or 1"),
        ({"q": (1, 3, 3, 8)}, "multiple of key heads"),
        ({"q": (1, 2, 3, 16)}, "agree in batch and head dim"),
        ({"v": (1, 2, 4, 8)}, "k and v"),
        ({"dtype": torch.float64, "backend": "flex"}, "use backend='sdpa'"),
        ({"dtype": torch.float64, "backend": "triton"}, "use backend='sdpa'"),
    ],
)
def test_misuse_is_refused_with_what_to_do(arguments, words):
    with pytest.raises(ValueError, match=words):
        _call(**arguments)


def test_dtypes_that_differ_are_refused():
    q, k, v, _ = inputs(layouts.causal(3), dim=8)
    with pytest.raises(ValueError, match="share dtype and device"):
        attention(q, k.float(), v, layouts.causal(3))


def test_triton_without_a_gpu_says_what_to_do(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match=r"needs CUDA tensors|needs triton"):
        _call(backend="triton")
