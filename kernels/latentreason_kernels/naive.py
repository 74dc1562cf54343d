"""Attention as its definition says it: the specification every other backend is checked against.

Shapes: q (B, Hq, Lq, D); k, v (B, Hkv, Lk, D), Hq = G * Hkv; out (B, Hq, Lq, D); lse (B, Hq, Lq).
"""

from __future__ import annotations

import math

import torch

from latentreason_kernels.visibility import Visibility


def masked_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention under a boolean mask; softmax in fp32, or in fp64 for fp64 inputs.

    Args:
        q: (B, Hq, Lq, D).
        k: (B, Hkv, Lk, D).
        v: (B, Hkv, Lk, D).
        mask: (B, Lq, Lk) bool, True where the query may look.
        scale: factor of the scores.

    Returns:
        out (B, Hq, Lq, D) in q's dtype and lse (B, Hq, Lq) in the softmax dtype. A query that sees
        no key has out 0, lse -inf and gradients 0.
    """
    batch, q_heads, q_length, dim = q.shape
    k_heads = k.shape[1]
    wide = torch.promote_types(q.dtype, torch.float32)
    grouped = q.to(wide).reshape(batch, k_heads, q_heads // k_heads, q_length, dim)
    scores = torch.einsum("bhgqd,bhkd->bhgqk", grouped, k.to(wide)) * scale
    seen = mask[:, None, None]
    empty = ~seen.any(dim=-1)
    # A row of -inf has no softmax and a NaN gradient: give it zeros first, blank it afterwards.
    scores = scores.masked_fill(~seen, -math.inf).masked_fill(empty[..., None], 0.0)
    lse = torch.logsumexp(scores, dim=-1)
    weights = torch.exp(scores - lse[..., None]).masked_fill(empty[..., None], 0.0)
    out = torch.einsum("bhgqk,bhkd->bhgqd", weights, v.to(wide))
    shape = (batch, q_heads, q_length)
    return out.reshape(*shape, dim).to(q.dtype), lse.masked_fill(empty, -math.inf).reshape(shape)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The naive backend: (out, lse) with the dense mask of `visibility`."""
    return masked_attention(q, k, v, visibility.dense(), scale)
