"""One attention function, four backends.

Shapes: q (B, Hq, Lq, D); k, v (B, Hkv, Lk, D), Hq % Hkv == 0; out (B, Hq, Lq, D);
lse (B, Hq, Lq), natural logarithm.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib.util import find_spec
from typing import Literal, overload

import torch

from latentreason_kernels import flex, naive, sdpa
from latentreason_kernels.visibility import Visibility

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "naive", "sdpa", "flex", "triton")
HALF_AND_SINGLE = (torch.float32, torch.float16, torch.bfloat16)
TRITON_MAX_HEAD_DIM = 256


@overload
def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visibility: Visibility,
    *,
    scale: float | None = ...,
    backend: str = ...,
    return_lse: Literal[False] = ...,
) -> torch.Tensor: ...


@overload
def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visibility: Visibility,
    *,
    scale: float | None = ...,
    backend: str = ...,
    return_lse: Literal[True],
) -> tuple[torch.Tensor, torch.Tensor]: ...


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visibility: Visibility,
    *,
    scale: float | None = None,
    backend: str = "auto",
    return_lse: bool = False,
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention in which query i sees key j iff `visibility` says so.

    Differentiable in q, k and v, and through the LSE too, except where a backend says otherwise
    (flex on CPU). A query that sees no key gets output 0, LSE -inf and gradient 0.

    Args:
        q: (B, Hq, Lq, D) queries; fp32, fp16, bf16, and fp64 with naive and sdpa.
        k: (B, Hkv, Lk, D) keys, Hq % Hkv == 0 (grouped-query attention).
        v: (B, Hkv, Lk, D) values.
        visibility: of B rows (or 1 row for all), Lq queries and Lk keys.
        scale: factor of the scores, by default D ** -0.5.
        backend: auto | naive | sdpa | flex | triton. auto is triton on CUDA (sdpa for fp64),
            sdpa elsewhere.
        return_lse: also return the log-sum-exp of the scaled scores, for `merge_partials`.

    Returns:
        out (B, Hq, Lq, D) in q's dtype; with return_lse also lse (B, Hq, Lq), fp32 (fp64 for fp64).

    Raises:
        ValueError: on shapes, dtypes or devices that do not fit, or a backend that cannot run here.
        NotImplementedError: backend flex on CPU with gradients.
    """
    _check(q, k, v, visibility)
    visibility = visibility.to(q.device).expand(q.shape[0])
    name = choose_backend(q) if backend == "auto" else backend
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    if name == "naive":
        out, lse = naive.attend(q, k, v, visibility, scale)
    elif name == "sdpa":
        if not return_lse:
            return sdpa.attend(q, k, v, visibility, scale)
        out, lse = sdpa.attend_with_lse(q, k, v, visibility, scale)
    elif name == "flex":
        _refuse_double(q, "flex")
        out, lse = flex.attend(q, k, v, visibility, scale)
    elif name == "triton":
        out, lse = _triton_attend(q, k, v, visibility, scale)
    else:
        raise ValueError(f"backend is {backend!r}; allowed: {', '.join(BACKENDS)}")
    return (out, lse) if return_lse else out


def choose_backend(q: torch.Tensor) -> str:
    """What backend='auto' means for q: triton on CUDA, sdpa elsewhere; said once in the log."""
    usable = q.is_cuda and q.dtype in HALF_AND_SINGLE and q.shape[-1] <= TRITON_MAX_HEAD_DIM
    name = "triton" if usable and find_spec("triton") is not None else "sdpa"
    _say_once(name, q.device.type, q.dtype)
    return name


@cache
def _say_once(name: str, device: str, dtype: torch.dtype) -> None:
    logger.debug("attention backend auto: %s on %s for %s", name, device, dtype)


def _triton_attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    _refuse_double(q, "triton")
    if q.shape[-1] > TRITON_MAX_HEAD_DIM:
        raise ValueError(
            f"head dim is {q.shape[-1]}; backend triton takes up to {TRITON_MAX_HEAD_DIM}, "
            "use backend='sdpa'"
        )
    if find_spec("triton") is None:
        raise ValueError("backend triton needs triton: pip install 'latentreason[triton]'")
    if not q.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"backend triton needs CUDA tensors, q is on {q.device}: use backend='sdpa', or set "
            "TRITON_INTERPRET=1 before Python starts to run the kernels slowly in fp32"
        )
    if not q.is_cuda and q.dtype != torch.float32:
        raise ValueError(f"Triton's interpreter is right in fp32 only, q is {q.dtype}")
    from latentreason_kernels.triton_ops.autograd import attend

    return attend(q, k, v, visibility, scale)


def _refuse_double(q: torch.Tensor, backend: str) -> None:
    if q.dtype not in HALF_AND_SINGLE:
        raise ValueError(
            f"q is {q.dtype}; backend {backend} takes fp32, fp16, bf16: use backend='sdpa'"
        )


def _check(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility) -> None:
    if not isinstance(visibility, Visibility):
        raise ValueError(
            f"visibility is {type(visibility).__name__}, needs a Visibility: build one with "
            "latentreason_kernels.layouts; dense masks are not taken"
        )
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if q.ndim != 4 or k.ndim != 4 or k.shape != v.shape:
        raise ValueError(f"q must be (B, Hq, Lq, D), k and v (B, Hkv, Lk, D) alike, got {shapes}")
    if q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        raise ValueError(f"q, k, v must agree in batch and head dim, got {shapes}")
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ValueError(f"query heads must be a multiple of key heads, got {shapes}")
    if not (q.dtype == k.dtype == v.dtype) or not (q.device == k.device == v.device):
        raise ValueError(
            f"q, k, v must share dtype and device, got {q.dtype}, {k.dtype}, {v.dtype} on "
            f"{q.device}, {k.device}, {v.device}"
        )
    if not q.is_floating_point():
        raise ValueError(f"q must be fp16, bf16, fp32 or fp64, got {q.dtype}")
    if (visibility.queries.length, visibility.keys.length) != (q.shape[2], k.shape[2]):
        raise ValueError(
            f"visibility is of {visibility.queries.length} queries and {visibility.keys.length} "
            f"keys, q has {q.shape[2]} and k {k.shape[2]} tokens"
        )
