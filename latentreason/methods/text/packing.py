"""Several short examples in one row, none of which sees another.

Shapes: R packed rows, L columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latentreason.columns import IGNORED, Row
from latentreason.errors import UserError
from latentreason_kernels import Tokens, Visibility

NO_DOCUMENT = -1


def pack(
    rows: Sequence[Row], index: Sequence[int], length: int, pad: int
) -> dict[str, Tensor | int]:
    """Put examples into as few rows of at most `length` tokens as first-fit decreasing finds.

    Fillers (index -1) take no place: a batch of fillers only is one row of padding.

    Returns:
        input_ids, labels, position_ids (from 0 in each example) and documents (-1 at padding), all
        (R, L); num_tokens, without padding.

    Raises:
        UserError: an example is longer than a row.
    """
    chosen = [row for row, number in zip(rows, index, strict=True) if number >= 0]
    bins = first_fit([len(row.ids) for row in chosen], length)
    width = max((sum(len(chosen[i].ids) for i in members) for members in bins), default=1)
    shape = (max(1, len(bins)), width)
    input_ids = torch.full(shape, pad)
    labels = torch.full(shape, IGNORED)
    position_ids = torch.zeros(shape, dtype=torch.long)
    documents = torch.full(shape, NO_DOCUMENT)
    for r, members in enumerate(bins):
        column = 0
        for document, member in enumerate(members):
            row = chosen[member]
            place = slice(column, column + len(row.ids))
            input_ids[r, place] = torch.tensor(row.ids)
            labels[r, place] = torch.tensor(row.labels)
            # Nothing of this example predicts its first token; the one before it is a stranger.
            labels[r, column] = IGNORED
            position_ids[r, place] = torch.arange(len(row.ids))
            documents[r, place] = document
            column += len(row.ids)
    return {
        "input_ids": input_ids,
        "labels": labels,
        "position_ids": position_ids,
        "documents": documents,
        "num_tokens": sum(len(row.ids) for row in chosen),
    }


def first_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of `lengths` in bins of `capacity`, the longest first, each where it first fits."""
    bins: list[list[int]] = []
    left: list[int] = []
    for item in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        size = lengths[item]
        if size > capacity:
            raise UserError(
                f"method.pack_length: an example of {size} tokens does not fit into a row of "
                f"{capacity}; give a longer row"
            )
        place = next((b for b, room in enumerate(left) if room >= size), None)
        if place is None:
            bins.append([])
            left.append(capacity)
            place = len(bins) - 1
        bins[place].append(item)
        left[place] -= size
    return bins


def visibility(documents: Tensor, position_ids: Tensor) -> Visibility:
    """Causal within each document, nothing across: of (R, L) documents and positions."""
    zero = torch.zeros_like(documents)
    return Visibility.of(Tokens(documents, position_ids, position_ids, zero))
