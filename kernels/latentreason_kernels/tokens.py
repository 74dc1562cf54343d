"""What a run of tokens says about visibility: four int32 numbers per token.

Shapes: B rows of the batch, L tokens. Every field is (B, L) int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

PADDING = -1
FIELDS = ("doc", "order", "reach", "group")


@dataclass(frozen=True, eq=False)
class Tokens:
    """(doc, order, reach, group) of L tokens in B rows; immutable, O(L) in memory.

    Attributes:
        doc: (B, L) document id; -1 is padding, which sees nothing and is seen by nothing.
        order: (B, L) when the token becomes visible to others of its document.
        reach: (B, L) the largest order of a public token that this token may see.
        group: (B, L) 0 for a public token; g > 0 is seen only by tokens of the same g.

    Raises:
        ValueError: if the fields are not integer tensors of one shape (B, L) on one device.
    """

    doc: torch.Tensor
    order: torch.Tensor
    reach: torch.Tensor
    group: torch.Tensor

    def __post_init__(self) -> None:
        shape, device = self.doc.shape, self.doc.device
        for name in FIELDS:
            field = getattr(self, name)
            if field.is_floating_point() or field.dtype == torch.bool or field.ndim != 2:
                raise ValueError(
                    f"{name} must be an integer tensor (B, L), "
                    f"got {tuple(field.shape)} {field.dtype}"
                )
            if field.shape != shape or field.device != device:
                raise ValueError(
                    f"{name} has shape {tuple(field.shape)} on {field.device}, "
                    f"doc has {tuple(shape)} on {device}; all four fields must agree"
                )
            object.__setattr__(self, name, field.to(torch.int32))

    @property
    def batch(self) -> int:
        """B, the number of rows."""
        return self.doc.shape[0]

    @property
    def length(self) -> int:
        """L, the number of tokens in a row, padding included."""
        return self.doc.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the four fields live."""
        return self.doc.device

    def fields(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """doc, order, reach, group, each (B, L)."""
        return self.doc, self.order, self.reach, self.group

    def narrow(self, start: int, stop: int | None = None) -> Tokens:
        """Tokens start..stop-1 of every row (Python slice rules), as views."""
        return Tokens(*(field[:, start:stop] for field in self.fields()))

    def rows(self, start: int, stop: int) -> Tokens:
        """Batch rows start..stop-1."""
        return Tokens(*(field[start:stop] for field in self.fields()))

    def expand(self, batch: int) -> Tokens:
        """The same row for a batch of `batch` rows (no copy); a no-op where B is that already."""
        if self.batch == batch:
            return self
        return Tokens(*(field.expand(batch, -1) for field in self.fields()))

    def repeat_interleave(self, times: int) -> Tokens:
        """Each row `times` times in a run, as for several samples of one prompt."""
        return Tokens(*(field.repeat_interleave(times, dim=0) for field in self.fields()))

    def to(self, device: torch.device | str) -> Tokens:
        """The same tokens on another device."""
        return Tokens(*(field.to(device) for field in self.fields()))

    def with_padding(self, present: torch.Tensor) -> Tokens:
        """The same tokens, with those where `present` (B, L) is False or 0 turned into padding."""
        if present.shape != self.doc.shape:
            if self.batch != 1 or present.ndim != 2 or present.shape[1] != self.length:
                raise ValueError(
                    f"padding mask has shape {tuple(present.shape)}, tokens are "
                    f"{tuple(self.doc.shape)}: give one value per token"
                )
            return self.expand(present.shape[0]).with_padding(present)
        doc = self.doc.masked_fill(~present.to(self.device, torch.bool), PADDING)
        return Tokens(doc, self.order, self.reach, self.group)

    @staticmethod
    def cat(parts: Sequence[Tokens]) -> Tokens:
        """Tokens one after another along L, as when a block is appended to a KV cache."""
        batch = max(part.batch for part in parts)
        wide = [part.expand(batch).fields() for part in parts]
        return Tokens(*(torch.cat(same, dim=1) for same in zip(*wide, strict=True)))

    @staticmethod
    def stack(rows: Sequence[Tokens]) -> Tokens:
        """Rows of different length one above another, padded on the right with padding tokens."""
        length = max(row.length for row in rows)
        padded = [row.padded(length).fields() for row in rows]
        return Tokens(*(torch.cat(same, dim=0) for same in zip(*padded, strict=True)))

    def padded(self, length: int) -> Tokens:
        """The same tokens with padding on the right up to `length`."""
        extra = length - self.length
        if extra < 0:
            raise ValueError(f"length {length} is shorter than the {self.length} tokens there are")
        if extra == 0:
            return self
        pad = torch.nn.functional.pad
        fills = (PADDING, 0, 0, 0)
        fields = (pad(f, (0, extra), value=v) for f, v in zip(self.fields(), fills, strict=True))
        return Tokens(*fields)
