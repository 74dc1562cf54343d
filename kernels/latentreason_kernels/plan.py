"""How the sdpa backend cuts queries into chunks, so that each pays only for keys it may see.

Shapes: B rows, Lq queries, Lk keys. A chunk is a run of queries with the union of the key runs
that any of its queries sees in any row of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from latentreason_kernels import structure
from latentreason_kernels.visibility import Visibility

ROWS = 128  # public text is cut into runs of so many queries, so that it skips its future
# Costs in (query, key) pairs of one head, measured on CPU forward and backward: a call, and the
# copy of a key and of its gradient.
CALL_PAIRS, KEY_PAIRS = 500, 10
WINDOW = 48  # segments in a chunk at most: bounds the search for the cheapest cut
# torch's own causal path skips nothing below 512 tokens and wins from 2k on (measured on CPU).
CAUSAL_CHUNKED = range(256, 2048)
GAP = 16  # unseen keys between two seen runs that cost less than a second copy


@dataclass(frozen=True)
class Chunk:
    """One SDPA call: queries start..stop-1 against the keys of `runs`.

    Attributes:
        start: first query.
        stop: one past the last query.
        runs: (first, one past the last) of each run of keys; empty if no query sees any key.
        mask: (B or 1, 1, rows, keys) bool, or None where all pairs see each other (or `causal`).
        causal: use SDPA's own lower triangle.
        blank: (B, 1, rows, 1) bool, queries that see no key and get output 0, or None.
    """

    start: int
    stop: int
    runs: tuple[tuple[int, int], ...]
    mask: torch.Tensor | None = None
    causal: bool = False
    blank: torch.Tensor | None = None

    @property
    def pairs(self) -> int:
        """(query, key) pairs computed per head and row of the batch."""
        return (self.stop - self.start) * sum(stop - start for start, stop in self.runs)


def make_plan(visibility: Visibility) -> list[Chunk]:
    """The chunks of a visibility, in the order of its queries, covering all of them."""
    _, q_length, k_length = visibility.shape
    whole = ((0, k_length),)
    if structure.is_full(visibility):
        return [Chunk(0, q_length, whole)]
    if structure.is_causal(visibility):
        on_cpu = visibility.device.type == "cpu"
        if not (on_cpu and q_length in CAUSAL_CHUNKED):
            blank = _any_or_none((visibility.queries.doc < 0)[:, None, :, None])
            return [Chunk(0, q_length, whole, causal=True, blank=blank)]
    dense = visibility.dense()
    bounds = _segment_bounds(visibility)
    return [_chunk(dense, start, stop) for start, stop in _merged(dense, bounds)]


def _segment_bounds(visibility: Visibility) -> list[int]:
    """Where the kind of query changes in any row, and every ROWS queries of a longer run."""
    tokens, length = visibility.queries, visibility.queries.length
    private = tokens.group > 0
    block = torch.where(private, tokens.reach, torch.zeros_like(tokens.reach))
    kinds = torch.stack([tokens.doc, tokens.group, block])
    changes = (kinds[..., 1:] != kinds[..., :-1]).any(dim=0).any(dim=0)
    edges = {0, length, *((changes.nonzero().flatten() + 1).tolist())}
    edges.update(range(0, length, ROWS))
    return sorted(edges)


def _merged(dense: torch.Tensor, bounds: list[int]) -> list[tuple[int, int]]:
    """The cheapest cut of the segments into chunks, a chunk being at most WINDOW of them."""
    starts = torch.tensor(bounds, device=dense.device)
    seen = _seen_by_segment(dense, starts)
    count = len(bounds) - 1
    best, choice = [0.0] + [float("inf")] * count, [0] * (count + 1)
    for first in range(count):
        last = min(count, first + WINDOW)
        keys = seen[first:last].cummax(dim=0).values.sum(dim=1)
        rows = starts[first + 1 : last + 1] - starts[first]
        costs = (rows * keys + KEY_PAIRS * keys + CALL_PAIRS).tolist()
        for end, cost in enumerate(costs, start=first + 1):
            if best[first] + cost < best[end]:
                best[end], choice[end] = best[first] + cost, first
    cuts, end = [], count
    while end > 0:
        cuts.append((bounds[choice[end]], bounds[end]))
        end = choice[end]
    return cuts[::-1]


def _seen_by_segment(dense: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """(segments, Lk) int32: 1 where any query of the segment sees the key in any row."""
    query = torch.arange(dense.shape[1], device=dense.device)
    segment = torch.bucketize(query, starts, right=True) - 1
    seen = torch.zeros(len(starts) - 1, dense.shape[2], dtype=torch.int32, device=dense.device)
    index = segment[:, None].expand(-1, dense.shape[2])
    return seen.scatter_reduce_(0, index, dense.any(dim=0).to(torch.int32), "amax")


def _chunk(dense: torch.Tensor, start: int, stop: int) -> Chunk:
    rows = dense[:, start:stop]
    runs = _runs(rows.any(dim=0).any(dim=0))
    if not runs:
        return Chunk(start, stop, ())
    mask = torch.cat([rows[:, :, a:b] for a, b in runs], dim=2)
    if bool(mask.all()):
        return Chunk(start, stop, runs)
    blank = ~mask.any(dim=2, keepdim=True)
    # A row without any visible key has no softmax: let it see everything, blank its output.
    mask = (mask | blank)[:, None]
    if mask.shape[0] > 1 and bool((mask == mask[:1]).all()):
        mask = mask[:1]
    return Chunk(start, stop, runs, mask, blank=_any_or_none(blank[:, None]))


def _runs(keys: torch.Tensor) -> tuple[tuple[int, int], ...]:
    """The runs of True in (Lk,) bool, those closer than GAP joined."""
    index = keys.nonzero().flatten().tolist()
    runs: list[tuple[int, int]] = []
    for key in index:
        if runs and key - runs[-1][1] < GAP:
            runs[-1] = (runs[-1][0], key + 1)
        else:
            runs.append((key, key + 1))
    return tuple(runs)


def _any_or_none(flag: torch.Tensor) -> torch.Tensor | None:
    return flag if bool(flag.any()) else None
