"""The triton backend as one differentiable function.

Shapes: q, out (B, Hq, Lq, D); k, v (B, Hkv, Lk, D); lse (B, Hq, Lq) fp32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from latentreason_kernels.triton_ops import launch
from latentreason_kernels.visibility import Visibility


class _Attention(torch.autograd.Function):
    """Forward saves out and lse; backward recomputes the weights tile by tile."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        visibility: Visibility,
        scale: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        q, k, v = (launch.rows_contiguous(t) for t in (q, k, v))
        out, lse = launch.forward(q, k, v, visibility, scale)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.visibility, ctx.scale = visibility, scale
        ctx.set_materialize_grads(False)
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        if out.numel() == 0 or k.shape[2] == 0:
            return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v), None, None
        d_out = torch.zeros_like(out) if d_out is None else launch.rows_contiguous(d_out)
        row_delta = launch.delta(out, d_out, d_lse, lse)
        grads = launch.backward(q, k, v, d_out, lse, row_delta, ctx.visibility, ctx.scale)
        return *grads, None, None


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """out (B, Hq, Lq, D) in q's dtype and lse (B, Hq, Lq) fp32, both differentiable."""
    return _Attention.apply(q, k, v, visibility, scale)
