"""Two attention results over disjoint keys become the result over all of them.

Shapes: out (B, H, Lq, D), lse (B, H, Lq), natural logarithm.
"""

from __future__ import annotations

import math

import torch


def merge_partials(
    out1: torch.Tensor, lse1: torch.Tensor, out2: torch.Tensor, lse2: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Merges attention over keys A and attention over keys B into attention over A and B.

    Several samples of one prompt can attend to the prompt once (B = 1, expanded) and each to its
    own keys, then merge. Differentiable in all four arguments.

    Args:
        out1: (B, H, Lq, D) attention over the first keys.
        lse1: (B, H, Lq) its log-sum-exp of scaled scores; -inf where no key was visible.
        out2: (B, H, Lq, D), over the other keys.
        lse2: (B, H, Lq).

    Returns:
        (out, lse) over all keys, out in out1's dtype. A row empty on both sides has 0 and -inf.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    if out1.shape != out2.shape or lse1.shape != lse2.shape or out1.shape[:-1] != lse1.shape:
        raise ValueError(
            "merge_partials needs two outputs of one shape (B, H, Lq, D) and their (B, H, Lq) "
            f"lse, got {tuple(out1.shape)}, {tuple(lse1.shape)}, {tuple(out2.shape)}, "
            f"{tuple(lse2.shape)}"
        )
    # The result does not depend on the offset, so no gradient needs to pass through it.
    top = torch.maximum(lse1, lse2).detach()
    top = torch.where(top == -math.inf, torch.zeros_like(top), top)
    weight1, weight2 = torch.exp(lse1 - top), torch.exp(lse2 - top)
    total = weight1 + weight2
    empty = total == 0
    safe = total.masked_fill(empty, 1.0)
    mixed = out1 * (weight1 / safe)[..., None] + out2 * (weight2 / safe)[..., None]
    return mixed.to(out1.dtype), (top + torch.log(safe)).masked_fill(empty, -math.inf)
