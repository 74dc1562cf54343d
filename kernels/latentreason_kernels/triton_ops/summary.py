"""Six integers per tile of tokens, O(L / tile), from one small kernel.

Shapes: B rows, L tokens, T = ceil(L / tile) tiles. meta (B, 3, L) int32, summary (B, 6, T) int32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from latentreason_kernels.tokens import Tokens
from latentreason_kernels.triton_ops.predicate import INT_MAX, INT_MIN
from latentreason_kernels.visibility import Visibility


@triton.jit
def summarise_kernel(meta, out, length, tiles, TILE: tl.constexpr, KEYS: tl.constexpr):
    """One program per tile: ranges of doc, of order (KEYS) or reach, and of group."""
    tile = tl.program_id(0)
    row = tl.program_id(1).to(tl.int64)
    offsets = tile * TILE + tl.arange(0, TILE)
    inside = offsets < length
    base = meta + row * 3 * length
    doc = tl.load(base + offsets, mask=inside, other=-1)
    at = tl.load(base + length + offsets, mask=inside, other=0)
    group = tl.load(base + 2 * length + offsets, mask=inside, other=0)
    real = doc >= 0
    counted = real & (group == 0) if KEYS else real
    # Public queries count in the group range as 0, which makes a tile that holds any not full for
    # private keys; public keys do not, since order alone decides for them.
    grouped = real & (group > 0) if KEYS else real
    where = out + row * 6 * tiles + tile
    tl.store(where, tl.min(doc, axis=0))
    tl.store(where + tiles, tl.max(doc, axis=0))
    tl.store(where + 2 * tiles, tl.min(tl.where(counted, at, INT_MAX), axis=0))
    tl.store(where + 3 * tiles, tl.max(tl.where(counted, at, INT_MIN), axis=0))
    tl.store(where + 4 * tiles, tl.min(tl.where(grouped, group, INT_MAX), axis=0))
    tl.store(where + 5 * tiles, tl.max(tl.where(grouped, group, INT_MIN), axis=0))


@dataclass(frozen=True)
class Tiles:
    """What a kernel reads of one side of a visibility.

    Attributes:
        meta: (B, 3, L) int32: doc, order (keys) or reach (queries), group.
        summary: (B, 6, T) int32, see `predicate`.
        count: T.
    """

    meta: torch.Tensor
    summary: torch.Tensor
    count: int


def query_tiles(visibility: Visibility, tile: int) -> Tiles:
    """Metadata and summaries of the queries, computed once per visibility and tile size."""
    return visibility.fact(("query_tiles", tile), lambda: _tiles(visibility, tile, keys=False))


def key_tiles(visibility: Visibility, tile: int) -> Tiles:
    """Metadata and summaries of the keys, computed once per visibility and tile size."""
    return visibility.fact(("key_tiles", tile), lambda: _tiles(visibility, tile, keys=True))


def _tiles(visibility: Visibility, tile: int, *, keys: bool) -> Tiles:
    tokens = visibility.keys if keys else visibility.queries
    meta = visibility.fact(("meta", keys), lambda: _meta(tokens, keys))
    count = triton.cdiv(tokens.length, tile)
    summary = torch.empty(tokens.batch, 6, count, dtype=torch.int32, device=meta.device)
    if count and tokens.batch:
        grid = (count, tokens.batch)
        summarise_kernel[grid](meta, summary, tokens.length, count, TILE=tile, KEYS=keys)
    return Tiles(meta, summary, count)


def _meta(tokens: Tokens, keys: bool) -> torch.Tensor:
    return torch.stack([tokens.doc, tokens.order if keys else tokens.reach, tokens.group], dim=1)
