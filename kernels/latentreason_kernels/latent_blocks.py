"""LaDiR's rows: question, committed latent blocks, answer, noisy copies of the blocks.

One training row is  Q | C_1 .. C_B | S | X_(1,1) .. X_(1,M) .. X_(B,M)  with
C_b = BOT z_1..z_N EOT (committed), S the answer, X_(b,m) = BOT z_1..z_N (copy m being denoised).
Source: methods/ladir.md section 2.4 (LaDiR, arXiv 2510.04573).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from latentreason_kernels.layouts import Device
from latentreason_kernels.tokens import Tokens
from latentreason_kernels.visibility import Visibility

ORDERS_PER_BLOCK = 3  # BOT, all latents together, EOT


class _Row:
    """Grows (order, reach, group) of one row in Python lists: one tensor is made at the end."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.reach: list[int] = []
        self.group: list[int] = []

    def text(self, first_order: int, length: int) -> None:
        self.public(range(first_order, first_order + length))

    def committed(self, first_order: int, latents: int) -> None:
        self.public([first_order, *[first_order + 1] * latents, first_order + 2])

    def public(self, order: Sequence[int]) -> None:
        self.order += order
        self.reach += order
        self.group += [0] * len(order)

    def noisy(self, first_order: int, latents: int, group: int) -> None:
        size = latents + 1
        self.order += [first_order] * size
        self.reach += [first_order - 1] * size
        self.group += [group] * size

    def tokens(self, device: Device) -> Tokens:
        fields = [[0] * len(self.order), self.order, self.reach, self.group]
        stacked = torch.tensor(fields, dtype=torch.int32).to(device or "cpu")
        return Tokens(*(field[None] for field in stacked))


def committed_block(first_order: int, latents: int, *, device: Device = None) -> Tokens:
    """BOT, `latents` latents that see each other, EOT: latents + 2 tokens.

    Args:
        first_order: order of BOT, one above the largest order before the block.
        latents: N, latents in the block.
        device: where to build it.
    """
    row = _Row()
    row.committed(first_order, latents)
    return row.tokens(device)


def noisy_copy(first_order: int, latents: int, group: int, *, device: Device = None) -> Tokens:
    """BOT and `latents` noisy latents of one copy: they see each other and all before the block.

    Args:
        first_order: order of the BOT of the committed block of which this is a copy.
        latents: N.
        group: a number > 0 that no other copy of the row has.
        device: where to build it.

    Raises:
        ValueError: if `group` is not positive.
    """
    if group <= 0:
        raise ValueError(f"group must be > 0 (0 is public), got {group}")
    row = _Row()
    row.noisy(first_order, latents, group)
    return row.tokens(device)


def ladir_tokens(
    question: int,
    blocks: Sequence[int],
    answer: int,
    copies: int = 0,
    *,
    length: int | None = None,
    device: Device = None,
) -> Tokens:
    """One row of LaDiR training (copies > 0) or inference.

    Args:
        question: tokens of the question.
        blocks: N of each block, in order; blocks may differ in size.
        answer: tokens of the answer (with its marker and EOS).
        copies: M, noisy copies of every block; 0 for inference.
        length: L; by default as many tokens as there are, else padded on the right.
        device: where to build it.

    Returns:
        Tokens of one row: question + sum(N + 2) + answer + copies * sum(N + 1), then padding.

    Raises:
        ValueError: if a count is negative or `length` is too short.
    """
    for name, value in (("question", question), ("answer", answer), ("copies", copies)):
        if value < 0:
            raise ValueError(f"{name} must be at least 0, got {value}")
    row = _Row()
    row.text(0, question)
    starts = [question + ORDERS_PER_BLOCK * index for index in range(len(blocks) + 1)]
    for start, latents in zip(starts, blocks, strict=False):
        row.committed(start, latents)
    row.text(starts[-1], answer)
    for index, latents in enumerate(blocks):
        for copy in range(copies):
            row.noisy(starts[index], latents, index * copies + copy + 1)
    tokens = row.tokens(device)
    return tokens.padded(tokens.length if length is None else length)


def ladir(
    rows: Sequence[tuple[int, Sequence[int], int]], copies: int = 0, *, device: Device = None
) -> Visibility:
    """LaDiR's training visibility for a batch.

    Args:
        rows: (question, blocks, answer) of each row, as `ladir_tokens` takes them.
        copies: M, the same in all rows.
        device: where to build it.
    """
    built = [ladir_tokens(q, blocks, a, copies) for q, blocks, a in rows]
    return Visibility.of(Tokens.stack(built).to(device or "cpu"))
