"""From rows of tokens to aligned columns, and the loss on the supervised ones.

Shapes: B rows, L columns, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latentreason.errors import UserError

IGNORED = -100


@dataclass(frozen=True)
class Row:
    """One laid-out example.

    Attributes:
        ids: token ids; a thought's slot holds the placeholder id.
        labels: the ids that are supervised, IGNORED elsewhere; same length.
        first_thought: place of the first slot, or None.
        num_thoughts: slots, contiguous from `first_thought`.
    """

    ids: list[int]
    labels: list[int]
    first_thought: int | None = None
    num_thoughts: int = 0


def align(rows: Sequence[Row], index: Sequence[int], pad: int) -> dict[str, Tensor | int]:
    """Collate rows so that their first thoughts share a column.

    Rows with thoughts are padded on the left up to the right-most first slot, then all rows are
    padded on the right (Coconut's released collator): one pass serves the k-th thought of every row.
    Fillers (index -1) lose their labels.

    Returns:
        input_ids, labels, attention_mask, position_ids, all (B, L); thought_counts (B,);
        thought_start, the column of the first slot; num_tokens, without padding.
    """
    firsts = [row.first_thought for row in rows if row.first_thought is not None]
    start = max(firsts, default=0)
    shifts = [0 if row.first_thought is None else start - row.first_thought for row in rows]
    width = max(shift + len(row.ids) for shift, row in zip(shifts, rows, strict=True))
    shape = (len(rows), width)
    input_ids = torch.full(shape, pad)
    labels = torch.full(shape, IGNORED)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    position_ids = torch.zeros(shape, dtype=torch.long)
    for b, (row, shift) in enumerate(zip(rows, shifts, strict=True)):
        place = slice(shift, shift + len(row.ids))
        input_ids[b, place] = torch.tensor(row.ids)
        attention_mask[b, place] = 1
        position_ids[b, place] = torch.arange(len(row.ids))
        if index[b] >= 0:
            labels[b, place] = torch.tensor(row.labels)
    return {
        "input_ids": input_ids,
        "labels": labels,
        "attention_mask": attention_mask,
        "position_ids": position_ids,
        "thought_counts": torch.tensor([row.num_thoughts for row in rows]),
        "thought_start": start,
        "num_tokens": sum(len(row.ids) for row in rows),
    }


def check_lengths(rows: Sequence[Row], index: Sequence[int], limit: int | None) -> None:
    """Raise UserError where a row has more tokens than the backbone has positions."""
    for row, number in zip(rows, index, strict=True):
        if limit is not None and len(row.ids) > limit:
            raise UserError(
                f"data: example {number} takes {len(row.ids)} tokens, {row.num_thoughts} of them "
                f"thoughts, and the model has {limit} positions; leave it out, ask for fewer "
                "thoughts, or take a model with more positions"
            )


def count_supervised(labels: Tensor) -> int:
    """Supervised tokens of a batch (B, L); the first column has nothing that predicts it."""
    return int((labels[:, 1:] != IGNORED).sum())


def cross_entropy_sum(hidden: Tensor, labels: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    """Summed next-token cross-entropy, with the head on the supervised columns only.

    Args:
        hidden: (B, L, H), after the final norm.
        labels: (B, L), IGNORED where nothing is supervised.
        head: (N, H) to (N, V).
    """
    supervised = labels[:, 1:] != IGNORED
    logits = head(hidden[:, :-1][supervised])
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return F.cross_entropy(logits, labels[:, 1:][supervised], reduction="sum")
