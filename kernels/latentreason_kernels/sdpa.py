"""The sdpa backend: torch's scaled_dot_product_attention, chunk by chunk; trainable on CPU.

Shapes: q (B, Hq, Lq, D); k, v (B, Hkv, Lk, D); out (B, Hq, Lq, D); lse (B, Hq, Lq).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from latentreason_kernels.naive import masked_attention
from latentreason_kernels.plan import Chunk, make_plan
from latentreason_kernels.visibility import Visibility


class _Runs(torch.autograd.Function):
    """Keys (or values) of every chunk, with one gradient buffer for all (slices make one each).

    k (B, Hkv, Lk, D) -> for each chunk (B, Hkv, keys of the chunk, D).
    """

    @staticmethod
    def forward(ctx: Any, k: torch.Tensor, chunks: list[Chunk]) -> tuple[torch.Tensor, ...]:
        ctx.chunks, ctx.shape = chunks, k.shape
        return tuple(_runs_of(k, chunk).contiguous() for chunk in chunks)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = grads[0].new_zeros(ctx.shape)
        for chunk, grad in zip(ctx.chunks, grads, strict=True):
            first = 0
            for start, stop in chunk.runs:
                total[:, :, start:stop] += grad[:, :, first : first + stop - start]
                first += stop - start
        return total, None


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> torch.Tensor:
    """Attention output; the plan is made once per visibility and serves all layers."""
    chunks = visibility.fact("sdpa_plan", lambda: make_plan(visibility))
    if len(chunks) == 1 and chunks[0].runs == ((0, k.shape[2]),):
        return _call(q, k, v, chunks[0], scale)
    rows = q.split([chunk.stop - chunk.start for chunk in chunks], dim=2)
    keys, values = _Runs.apply(k, chunks), _Runs.apply(v, chunks)
    outs = [_call(*parts, scale) for parts in zip(rows, keys, values, chunks, strict=True)]
    return torch.cat(outs, dim=2)


def attend_with_lse(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(out, lse). torch gives no differentiable LSE, so each chunk is computed with its scores."""
    chunks = visibility.fact("sdpa_plan", lambda: make_plan(visibility))
    parts = []
    for chunk in chunks:
        piece = visibility.narrow_queries(chunk.start, chunk.stop)
        pieces = [piece.keys.narrow(start, stop) for start, stop in chunk.runs]
        keys = type(piece.keys).cat(pieces) if pieces else piece.keys.narrow(0, 0)
        mask = Visibility(piece.queries, keys).dense()
        rows = q[:, :, chunk.start : chunk.stop]
        parts.append(masked_attention(rows, _runs_of(k, chunk), _runs_of(v, chunk), mask, scale))
    outs, lses = zip(*parts, strict=True)
    return torch.cat(outs, dim=2), torch.cat(lses, dim=2)


def _runs_of(tensor: torch.Tensor, chunk: Chunk) -> torch.Tensor:
    """The keys of a chunk, (B, Hkv, keys, D)."""
    if chunk.runs == ((0, tensor.shape[2]),):
        return tensor
    parts = [tensor[:, :, start:stop] for start, stop in chunk.runs]
    if not parts:
        return tensor[:, :, :0]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _call(
    rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, chunk: Chunk, scale: float
) -> torch.Tensor:
    """(B, Hq, rows, D): attention of one chunk, 0 for queries that see no key."""
    if not chunk.runs:
        # Not fresh zeros: q, k and v stay in the graph, with gradient 0 (the sums are of nothing).
        blank = rows.masked_fill(torch.ones_like(rows, dtype=torch.bool), 0.0)
        return blank + keys.sum() + values.sum()
    out = scaled_dot_product_attention(
        rows,
        keys,
        values,
        attn_mask=chunk.mask,
        is_causal=chunk.causal,
        scale=scale,
        enable_gqa=rows.shape[1] != keys.shape[1],
    )
    return out if chunk.blank is None else out.masked_fill(chunk.blank, 0.0)
