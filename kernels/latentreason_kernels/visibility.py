"""Which query may look at which key, without a mask.

Shapes: B rows, Lq queries, Lk keys. Query i may look at key j iff

    doc_i == doc_j >= 0   and   ( order_j <= reach_i  if group_j == 0  else  group_j == group_i )
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from latentreason_kernels.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Visibility:
    """The queries' and the keys' four integers; the mask they imply is never stored.

    For self-attention queries and keys are the same tokens. With a KV cache the keys are the
    cached tokens followed by the new ones, the queries the new ones alone. Objects are immutable,
    so one may be shared by all layers of a model; derived facts are computed once and kept.

    Attributes:
        queries: the Lq tokens that look; their doc, reach and group count.
        keys: the Lk tokens that are looked at; their doc, order and group count.

    Raises:
        ValueError: if the two disagree about B or the device.
    """

    queries: Tokens
    keys: Tokens
    _facts: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.queries.device != self.keys.device:
            raise ValueError(
                f"queries are on {self.queries.device}, keys on {self.keys.device}: use .to(device)"
            )
        if self.queries.batch != self.keys.batch:
            raise ValueError(
                f"queries have {self.queries.batch} rows, keys {self.keys.batch}: they must agree"
            )

    @staticmethod
    def of(tokens: Tokens) -> Visibility:
        """Self-attention of tokens."""
        return Visibility(tokens, tokens)

    @staticmethod
    def with_cache(cached: Tokens, new: Tokens) -> Visibility:
        """New tokens that look at a KV cache and at themselves: Lk = cached + new."""
        batch = max(cached.batch, new.batch)
        return Visibility(new.expand(batch), Tokens.cat([cached, new]))

    @property
    def batch(self) -> int:
        """B."""
        return self.queries.batch

    @property
    def device(self) -> torch.device:
        """Where the metadata live."""
        return self.queries.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, Lq, Lk)."""
        return self.batch, self.queries.length, self.keys.length

    @property
    def is_self(self) -> bool:
        """Whether queries and keys are the same object."""
        return self.queries is self.keys

    def fact(self, key: Any, compute: Any) -> Any:
        """compute() the first time, the kept result afterwards; for what backends derive."""
        if key not in self._facts:
            self._facts[key] = compute()
        return self._facts[key]

    def narrow_queries(self, start: int, stop: int | None = None) -> Visibility:
        """Only queries start..stop-1 (negative as in slices), all keys."""
        return Visibility(self.queries.narrow(start, stop), self.keys)

    def narrow_keys(self, start: int, stop: int | None = None) -> Visibility:
        """All queries, only keys start..stop-1: one part of a split over keys."""
        return Visibility(self.queries, self.keys.narrow(start, stop))

    def expand(self, batch: int) -> Visibility:
        """The same rule for `batch` rows; a no-op where B is that already.

        Raises:
            ValueError: if B is neither 1 nor `batch`.
        """
        if self.batch == batch:
            return self
        if self.batch != 1:
            raise ValueError(
                f"visibility has {self.batch} rows, the tensors {batch}: give 1 row or {batch}"
            )
        return self.fact(("expand", batch), lambda: self._map(lambda t: t.expand(batch)))

    def to(self, device: torch.device | str) -> Visibility:
        """The same rule on another device (kept, so each layer gets the same object)."""
        if self.device == torch.device(device):
            return self
        return self.fact(("to", str(device)), lambda: self._map(lambda t: t.to(device)))

    def with_padding(self, present: torch.Tensor) -> Visibility:
        """The same rule with padding where `present` (B, Lk) is False or 0.

        The last Lq columns of `present` also say which queries are padding, so the ordinary 2-D
        attention mask of a tokenizer (over cached and new tokens) can be given as it is.
        """
        if present.ndim != 2 or present.shape[1] != self.keys.length:
            raise ValueError(
                f"padding mask has shape {tuple(present.shape)}, there are {self.keys.length} keys"
            )
        if self.is_self:
            return Visibility.of(self.queries.with_padding(present))
        if self.queries.length > self.keys.length:
            raise ValueError(
                f"{self.queries.length} queries but {self.keys.length} keys: pad the two "
                "Tokens yourself with Tokens.with_padding"
            )
        own = present[:, self.keys.length - self.queries.length :]
        return Visibility(self.queries.with_padding(own), self.keys.with_padding(present))

    def dense(self) -> torch.Tensor:
        """The mask itself, (B, Lq, Lk) bool, True where query i may look at key j.

        O(L^2) memory: for the naive and sdpa backends, pictures and tests.
        """
        q_doc, _, q_reach, q_group = (f[:, :, None] for f in self.queries.fields())
        k_doc, k_order, _, k_group = (f[:, None, :] for f in self.keys.fields())
        public, private = k_group == 0, (k_group > 0) & (k_group == q_group)
        return (q_doc == k_doc) & (q_doc >= 0) & ((public & (k_order <= q_reach)) | private)

    def _map(self, change: Any) -> Visibility:
        if self.is_self:
            return Visibility.of(change(self.queries))
        return Visibility(change(self.queries), change(self.keys))
