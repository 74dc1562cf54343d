"""Pushing the chains of one question apart, and how far apart they are.

Shapes: B questions, N chains, D entries of a chain's thoughts laid end to end.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(
    chains: Tensor,
    *,
    form: str = "cosine",
    temperature: float = 0.05,
    positive_dropout: float = 0.5,
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """InfoNCE between each chain and the chains of the same question, (B,).

    Row k is scored against every chain j; the right one is k itself, behind dropout (SimCSE's
    positive), so that only the other N - 1 chains push. Nothing is detached.

    Args:
        chains: (B, N, D).
        form: "cosine", cos(s_k, z_j) / temperature (SoftCoT++'s released code), or "dot", s_k . s_j
            (the paper's equation), which is neither bounded nor free of scale.
        temperature: of the cosines.
        positive_dropout: p of the dropout on z; 0 has none.
        seeds: one for each question, which its dropout is drawn from; needed with dropout.

    Returns:
        The mean cross-entropy over each question's N rows; ln N where all chains are equal and
        nothing is dropped, 0 for one chain.
    """
    rows = others = chains.float()
    if form == "cosine":
        others = F.normalize(_drop(rows, positive_dropout, seeds), dim=-1)
        rows = F.normalize(rows, dim=-1)
    # Autocast would round a cosine to three digits before it is divided by the temperature.
    with torch.autocast(rows.device.type, enabled=False):
        scores = rows @ others.transpose(1, 2)
    if form == "cosine":
        scores = scores / temperature
    count = chains.shape[1]
    right = torch.arange(count, device=chains.device).expand(len(chains), count)
    losses = F.cross_entropy(scores.flatten(0, 1), right.flatten(), reduction="none")
    return losses.view(len(chains), count).mean(1)


def _drop(chains: Tensor, p: float, seeds: Sequence[int] | None) -> Tensor:
    if p == 0:
        return chains
    if seeds is None:
        raise ValueError("info_nce: positive_dropout needs seeds, one for each question")
    kept = torch.empty_like(chains)
    for row, seed in zip(kept, seeds, strict=True):
        # On the CPU, so that the same entries fall on every device.
        generator = torch.Generator().manual_seed(seed)
        row.copy_(torch.empty(row.shape).bernoulli_(1 - p, generator=generator))
    return chains * kept / (1 - p)


def pairwise_cosine(chains: Tensor) -> Tensor:
    """Mean cosine between two chains of a question, (B,); chains is (B, N, D), N > 1."""
    count = chains.shape[1]
    unit = F.normalize(chains.float(), dim=-1)
    return (unit.sum(1).pow(2).sum(-1) - count) / (count * (count - 1))


def pairwise_distance(chains: Tensor) -> Tensor:
    """Mean Euclidean distance between two chains of a question, (B,); chains is (B, N, D), N > 1."""
    count = chains.shape[1]
    chains = chains.float()
    return torch.cdist(chains, chains).sum((1, 2)) / (count * (count - 1))
