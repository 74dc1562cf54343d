"""Truth tables written from the words of the methods' specifications, one pair at a time.

Nothing here uses the four integers: a token is described by what it is (role, position, block,
copy), and `allowed` repeats the sentence of the specification. Slow on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Word:
    """One token, in the words of a specification."""

    role: str  # Q, BOT, Z, EOT, S, X, T (plain text), P (padding), CLEAN, NOISY
    position: int = 0
    block: int = 0
    copy: int = 0
    document: int = 0


def table(queries: list[Word], keys: list[Word], allowed) -> torch.Tensor:
    """(Lq, Lk) bool from a rule over single pairs; padding and other documents never allowed."""

    def pair(i: Word, j: Word) -> bool:
        if "P" in (i.role, j.role) or i.document != j.document:
            return False
        return allowed(i, j)

    rows = [[pair(i, j) for j in keys] for i in queries]
    return torch.tensor(rows, dtype=torch.bool).reshape(len(queries), len(keys))


def text(length: int, document: int = 0, start: int = 0) -> list[Word]:
    return [Word("T", start + p, document=document) for p in range(length)]


def padding(length: int) -> list[Word]:
    return [Word("P")] * length


def causal(i: Word, j: Word) -> bool:
    return j.position <= i.position


def everything(i: Word, j: Word) -> bool:
    return True


def prefix_rule(prefix: int):
    """The prefix sees all of the prefix; what follows is causal."""

    def allowed(i: Word, j: Word) -> bool:
        if j.position < prefix:
            return True
        return i.position >= prefix and j.position <= i.position

    return allowed


def ladir_row(question: int, blocks: list[int], answer: int, copies: int = 0) -> list[Word]:
    """Q | C_1..C_B | S | X_(1,1)..X_(B,M), as ladir.md section 2.4 concatenates them."""
    row = [Word("Q", p) for p in range(question)]
    for block, latents in enumerate(blocks):
        row += [Word("BOT", block=block)]
        row += [Word("Z", p, block) for p in range(latents)]
        row += [Word("EOT", block=block)]
    row += [Word("S", p) for p in range(answer)]
    for block, latents in enumerate(blocks):
        for copy in range(copies):
            row += [Word("X", p, block, copy) for p in range(latents + 1)]
    return row


COMMITTED = ("BOT", "Z", "EOT")


def ladir(i: Word, j: Word) -> bool:
    """ladir.md section 2.4, the table, cell by cell."""
    if j.role == "X":  # noisy copies are keys only for themselves
        return i.role == "X" and (i.block, i.copy) == (j.block, j.copy)
    if j.role == "Q":
        return j.position <= i.position if i.role == "Q" else True
    if j.role in COMMITTED:
        if i.role == "Q":
            return False
        if i.role == "S":
            return True
        if i.role == "X":
            return j.block < i.block
        if j.block != i.block:
            return j.block < i.block
        return within_block(i.role, j.role)
    return i.role == "S" and j.position <= i.position  # j is answer text


def within_block(i: str, j: str) -> bool:
    """BOT visible to all; latents see each other; EOT sees all, seen only by later positions."""
    if j == "BOT":
        return True
    if j == "Z":
        return i in ("Z", "EOT")
    return i == "EOT"


def block_diffusion_row(length: int, block: int) -> list[Word]:
    halves = [[Word(r, p, p // block) for p in range(length)] for r in ("CLEAN", "NOISY")]
    return halves[0] + halves[1]


def block_diffusion(i: Word, j: Word) -> bool:
    """Block-diagonal noisy->noisy, offset-block-causal noisy->clean, block-causal clean->clean."""
    if i.role == "NOISY":
        return i.block == j.block if j.role == "NOISY" else j.block < i.block
    return j.role == "CLEAN" and j.block <= i.block
