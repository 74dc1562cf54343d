"""Batched decoding with a cache: rows of different length, each with its own stop.

Shapes: B active rows, T columns, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from latentreason.decoding.functional import cache_argument
from latentreason.decoding.sampling import choose, uniforms


class Backbone(Protocol):
    """What decoding needs of a model."""

    @property
    def decoder(self) -> Any: ...
    def embed(self, ids: Tensor) -> Tensor: ...
    def logits(self, hidden: Tensor) -> Tensor: ...


@dataclass
class Answer:
    """Visible tokens of one row (the end token not among them) and whether it ended by itself."""

    token_ids: list[int] = field(default_factory=list)
    stopped: bool = False

    @property
    def num_tokens(self) -> int:
        """Tokens written, the end token included."""
        return len(self.token_ids) + self.stopped


class Decoder:
    """A batch of rows in the middle of being decoded: cache, mask, next positions."""

    def __init__(self, model: Backbone, limit: int | None) -> None:
        """Args:
        model: the backbone.
        limit: positions that the backbone has; a row that reaches it stops.
        """
        self.model = model
        self.limit = limit
        self.cache: Any = DynamicCache()
        self.mask: Tensor = torch.empty(0)
        self.position: Tensor = torch.empty(0)

    def prefill(
        self,
        rows: Sequence[Sequence[int]],
        pad: int,
        device: torch.device,
        vectors: Sequence[tuple[int, Tensor]] = (),
    ) -> Tensor:
        """Read the prompts, padded on the left; return the last hidden states (B, H).

        Args:
            rows: token ids.
            pad: id of the padding.
            device: where the rows are put.
            vectors: for each row (start, (L, H)), what is fed from that place on instead of the
                embeddings of the ids there; empty where ids are all there is.
        """
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), pad)
        self.mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, longest - len(row) :] = torch.tensor(row)
            self.mask[number, longest - len(row) :] = 1
        ids, self.mask = ids.to(device), self.mask.to(device)
        positions = (self.mask.cumsum(1) - 1).clamp(min=0)
        self.position = self.mask.sum(1)
        embeds = self.model.embed(ids)
        for number, (start, inserted) in enumerate(vectors):
            first = longest - len(rows[number]) + start
            embeds[number, first : first + len(inserted)] = inserted.to(embeds)
        return self._forward(embeds, positions)

    def step(self, embeds: Tensor) -> Tensor:
        """Feed one input embedding (B, H) to every row; return the hidden states (B, H)."""
        ones = torch.ones_like(self.mask[:, :1])
        self.mask = torch.cat([self.mask, ones], 1)
        hidden = self._forward(embeds[:, None], self.position[:, None])
        self.position = self.position + 1
        return hidden

    def step_token(self, token: int) -> Tensor:
        """Feed the same token to every row."""
        ids = torch.full((len(self.position),), token, device=self.position.device)
        return self.step(self.model.embed(ids))

    def repeat(self, times: int) -> None:
        """Make `times` copies of each row, prompt-major."""
        if times > 1:
            self.cache.batch_repeat_interleave(times)
            self.mask = self.mask.repeat_interleave(times, 0)
            self.position = self.position.repeat_interleave(times, 0)

    def keep(self, index: Tensor) -> None:
        """Go on with the rows of `index` only."""
        self.cache.batch_select_indices(index)
        self.mask, self.position = self.mask[index], self.position[index]

    def write(
        self,
        hidden: Tensor,
        keys: Sequence[tuple[int, int]],
        *,
        end: int,
        banned: Sequence[int],
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> list[Answer]:
        """Write tokens until every row has ended.

        Args:
            hidden: (B, H), the states that predict the first visible token.
            keys: (row id, sample) of each row: what its randomness is keyed by.
            end: the end token.
            banned: ids that are never written (the markers of thoughts).
            max_new_tokens: most tokens per row, the end token included.
        """
        answers = [Answer() for _ in keys]
        active = list(range(len(keys)))
        for position in range(max_new_tokens):
            logits = self.model.logits(hidden).float()
            if banned:
                logits[:, list(banned)] = float("-inf")
            draw = None
            if temperature > 0:
                draw = uniforms(seed, [keys[row] for row in active], position)
            tokens = choose(logits, temperature, top_p, draw)
            going = self._record(answers, active, tokens.tolist(), end)
            if position == max_new_tokens - 1 or not going:
                break
            if len(going) < len(active):
                index = torch.tensor(going, device=tokens.device)
                self.keep(index)
                tokens, active = tokens[index], [active[i] for i in going]
            hidden = self.step(self.model.embed(tokens))
        return answers

    def _record(
        self, answers: list[Answer], active: list[int], tokens: list[int], end: int
    ) -> list[int]:
        """Append each row's token; return the places of the rows that go on."""
        positions = self.position.tolist()
        going = []
        for place, (row, token) in enumerate(zip(active, tokens, strict=True)):
            if token == end:
                answers[row].stopped = True
                continue
            answers[row].token_ids.append(token)
            if self.limit is None or positions[place] < self.limit:
                going.append(place)
        return going

    def _forward(self, embeds: Tensor, positions: Tensor) -> Tensor:
        decoder = self.model.decoder
        output = decoder(
            inputs_embeds=embeds,
            attention_mask=self.mask,
            position_ids=positions,
            use_cache=True,
            **{cache_argument(decoder): self.cache},
        )
        return output.last_hidden_state[:, -1]
