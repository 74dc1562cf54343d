"""A few lines of text about a visibility: sizes, documents, groups and how much is visible.

Shapes: B rows, Lq queries, Lk keys.
"""

from __future__ import annotations

import torch

from latentreason_kernels.tokens import Tokens
from latentreason_kernels.visibility import Visibility

_CHUNK = 1024  # queries per step of the count: bounds its memory by CHUNK x Lk


def visible_pairs(visibility: Visibility) -> torch.Tensor:
    """(B,) int64: how many (query, key) pairs of each row see each other.

    Takes O(Lq x Lk) time but only O(Lk) memory.
    """
    batch, length, _ = visibility.shape
    total = torch.zeros(batch, dtype=torch.int64, device=visibility.device)
    for start in range(0, length, _CHUNK):
        total += visibility.narrow_queries(start, start + _CHUNK).dense().sum(dim=(1, 2))
    return total


def _kinds(tokens: Tokens, row: int) -> str:
    doc, group = tokens.doc[row], tokens.group[row]
    real = doc >= 0
    public, private = real & (group == 0), real & (group > 0)
    documents = int(doc[real].unique().numel())
    groups = int(torch.stack([doc[private], group[private]]).unique(dim=1).shape[1])
    words = [
        f"{documents} document{'s' * (documents != 1)}",
        f"{int(public.sum())} public",
        f"{int(private.sum())} private in {groups} group{'s' * (groups != 1)}",
        f"{int((~real).sum())} padding",
    ]
    return ", ".join(words)


def describe(visibility: Visibility, *, rows: int = 4) -> str:
    """What a visibility says, in one line per row of the batch.

    Args:
        visibility: what to describe.
        rows: at most so many rows are described one by one.

    Returns:
        Text: sizes, kinds of tokens, visible pairs and their share of Lq x Lk.
    """
    batch, q_length, k_length = visibility.shape
    pairs = visible_pairs(visibility)
    lines = [f"{batch} row{'s' * (batch != 1)} of {q_length} queries x {k_length} keys"]
    for row in range(min(batch, rows)):
        share = int(pairs[row]) / max(q_length * k_length, 1)
        line = f"row {row}: keys: {_kinds(visibility.keys, row)}"
        if not visibility.is_self:
            line += f"; queries: {_kinds(visibility.queries, row)}"
        lines.append(f"{line}; {int(pairs[row])} visible pairs ({share:.1%})")
    if batch > rows:
        lines.append(f"... and {batch - rows} more rows, {int(pairs.sum())} visible pairs in all")
    return "\n".join(lines)
