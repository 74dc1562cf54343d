"""The masks of the framework by name: each builder is O(L) and returns a Visibility.

Shapes: B rows, L tokens in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch

from latentreason_kernels.tokens import Tokens
from latentreason_kernels.visibility import Visibility

Device: TypeAlias = torch.device | str | None


def _check_length(name: str, value: int, least: int = 0) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def causal_tokens(length: int, *, batch: int = 1, start: int = 0, device: Device = None) -> Tokens:
    """Text read from left to right: order = reach = position, counted from `start`."""
    _check_length("length", length)
    position = torch.arange(start, start + length, dtype=torch.int32, device=device)
    position = position.expand(batch, -1)
    zero = torch.zeros_like(position)
    return Tokens(zero, position, position, zero)


def causal(length: int, *, batch: int = 1, device: Device = None) -> Visibility:
    """Every token sees itself and what is before it; L = length."""
    return Visibility.of(causal_tokens(length, batch=batch, device=device))


def bidirectional(length: int, *, batch: int = 1, device: Device = None) -> Visibility:
    """Every token sees every token (CCDD's denoiser); L = length."""
    _check_length("length", length)
    zero = torch.zeros(batch, length, dtype=torch.int32, device=device)
    return Visibility.of(Tokens(zero, zero, zero, zero))


def prefix_lm(length: int, prefix: int | torch.Tensor, *, device: Device = None) -> Visibility:
    """A prefix that sees all of itself, then causal text.

    Args:
        length: L, tokens in a row.
        prefix: tokens in the prefix, one number or (B,) integers, each in 0..length.
        device: where to build it.
    """
    lengths = torch.as_tensor(prefix, dtype=torch.int32, device=device).reshape(-1, 1)
    if bool((lengths < 0).any()) or bool((lengths > length).any()):
        raise ValueError(f"prefix must lie in 0..{length}, got {lengths.flatten().tolist()}")
    position = torch.arange(length, dtype=torch.int32, device=lengths.device)
    order = (position - lengths + 1).clamp(min=0)
    zero = torch.zeros_like(order)
    return Visibility.of(Tokens(zero, order, order, zero))


def block_diffusion(
    length: int, block: int, *, batch: int = 1, device: Device = None
) -> Visibility:
    """Block diffusion's training row: the clean text, then its noisy copy; L = 2 x length.

    A clean token sees the clean tokens of its own and earlier blocks; a noisy token sees its own
    noisy block and the clean tokens of earlier blocks only.

    Args:
        length: tokens of the text (half of L).
        block: tokens in a block; the last block may be shorter.
        batch: B.
        device: where to build it.
    """
    _check_length("length", length)
    _check_length("block", block, 1)
    index = torch.arange(length, dtype=torch.int32, device=device) // block
    zero = torch.zeros_like(index)
    order = torch.cat([index, index])
    reach = torch.cat([index, index - 1])
    group = torch.cat([zero, index + 1])
    fields = (torch.zeros_like(order), order, reach, group)
    return Visibility.of(Tokens(*(field.expand(batch, -1) for field in fields)))


def packed(parts: Sequence[Tokens]) -> Tokens:
    """Several examples in one row, none of which sees another: L = sum of their lengths.

    Args:
        parts: the examples' tokens, each of one row or all of the same number of rows.

    Returns:
        The row(s) of tokens; document ids are renumbered, padding stays padding.
    """
    if not parts:
        raise ValueError("packed needs at least one example")
    renumbered, first = [], 0
    for part in parts:
        doc = torch.where(part.doc >= 0, part.doc + first, part.doc)
        renumbered.append(Tokens(doc, part.order, part.reach, part.group))
        first += int(part.doc.max()) + 1 if part.length and bool((part.doc >= 0).any()) else 0
    return Tokens.cat(renumbered)


def packed_causal(
    lengths: Sequence[int], *, length: int | None = None, device: Device = None
) -> Visibility:
    """Short causal examples in one row, padded on the right to `length`: document = example.

    Args:
        lengths: tokens of each example, in the order they lie in the row.
        length: L; by default the sum of `lengths`.
        device: where to build it.
    """
    for value in lengths:
        _check_length("lengths", value)
    counts = torch.tensor(list(lengths), dtype=torch.int64, device=device)
    doc = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    first = torch.cumsum(counts, 0) - counts
    position = torch.arange(doc.numel(), device=doc.device) - first[doc]
    zero = torch.zeros_like(doc)
    tokens = Tokens(*(field[None] for field in (doc, position, position, zero)))
    return Visibility.of(tokens.padded(tokens.length if length is None else length))
