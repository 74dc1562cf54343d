"""Sampling whose randomness is a function of (seed, row id, sample, position) and nothing else.

A row's draw therefore does not depend on the rows it shares a batch with.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor


def key(*parts: int) -> int:
    """A 63-bit number from a tuple of integers, the same on every machine."""
    text = ",".join(str(int(part)) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def uniforms(seed: int, rows: list[tuple[int, int]], position: int) -> Tensor:
    """One number in [0, 1) for each (row id, sample): shape (B,), float64."""
    draws = [key(seed, row, sample, position) / 2**63 for row, sample in rows]
    return torch.tensor(draws, dtype=torch.float64)


def gaussians(seed: int, row: int, sample: int, position: int, size: int) -> Tensor:
    """A standard normal vector (size,), float32."""
    generator = np.random.default_rng(key(seed, row, sample, position, 1))
    return torch.from_numpy(generator.standard_normal(size, dtype=np.float32))


def choose(logits: Tensor, temperature: float, top_p: float, uniform: Tensor | None) -> Tensor:
    """Next token ids (B,) from logits (B, V): greedy at temperature 0, else by inverse CDF.

    Args:
        logits: (B, V).
        temperature: 0 is greedy.
        top_p: smallest set of most likely tokens whose probabilities reach it; 1 keeps all.
        uniform: (B,) in [0, 1); not read when greedy.
    """
    if temperature == 0 or uniform is None:
        return logits.argmax(-1)
    probabilities = (logits.double() / temperature).softmax(-1)
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    cumulative = ordered.cumsum(-1)
    if top_p < 1:
        # The token that crosses the border belongs to the nucleus.
        ordered = ordered.masked_fill(cumulative - ordered >= top_p, 0.0)
        cumulative = ordered.cumsum(-1)
    target = uniform.to(logits.device) * cumulative[:, -1]
    place = torch.searchsorted(cumulative, target[:, None], right=True)
    last = (ordered > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(-1, torch.minimum(place, last))[:, 0]
