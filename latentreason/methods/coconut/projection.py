"""What a hidden state passes through before it is fed back as a thought.

Published Coconut has nothing here. Thoughts are much longer than token embeddings even after the
final norm (its issue 29), and its successors project them.

Shapes: H hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def make_projection(kind: str, size: int) -> nn.Module | None:
    """The module of `method.thought_projection`; "none" is None.

    "linear" starts as the identity and "scale" as the factor 1, so that training begins where plain
    Coconut begins. "mlp_norm" is CODI's (arXiv 2502.21074): linear, GELU, linear, layer norm.
    """
    if kind == "linear":
        layer = nn.Linear(size, size)
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer
    if kind == "mlp_norm":
        return nn.Sequential(
            nn.Linear(size, size), nn.GELU(), nn.Linear(size, size), nn.LayerNorm(size)
        )
    if kind == "norm":
        return Norm(size)
    return Scale() if kind == "scale" else None


class Norm(nn.Module):
    """Root-mean-square norm with a learned gain per feature: (..., H) to (..., H)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def fit(self, embeddings: Tensor) -> None:
        """Start with the mean length of the token embeddings (V, H)."""
        length = embeddings.float().norm(dim=-1).mean().item()
        nn.init.constant_(self.weight, length / embeddings.shape[-1] ** 0.5)

    def forward(self, state: Tensor) -> Tensor:
        square = state.pow(2).mean(-1, keepdim=True)
        return self.weight * state * torch.rsqrt(square + 1e-6)


class Scale(nn.Module):
    """One learned factor: (..., H) to (..., H)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, state: Tensor) -> Tensor:
        return self.weight * state


def fit_projection(projection: nn.Module | None, embeddings: Any) -> None:
    """Set what a new projection takes from its backbone: type, device, length of embeddings."""
    if projection is not None:
        projection.to(embeddings)
    if isinstance(projection, Norm):
        projection.fit(embeddings)
