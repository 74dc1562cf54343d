"""A few integers per tile of tokens, O(L / tile), from one small kernel for each side.

Shapes: B rows, L tokens, T = ceil(L / tile) tiles. codes (B, 1 or 3, W) int32, summary
(B, KEY_FIELDS or QUERY_FIELDS, T) int32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from latentreason_kernels.triton_ops.codes import key_codes, query_codes
from latentreason_kernels.triton_ops.predicate import (
    INT_MAX,
    INT_MIN,
    KEY_FIELDS,
    QUERY_FIELDS,
    load_keys,
    load_queries,
)
from latentreason_kernels.visibility import Visibility


@triton.jit
def key_summary_kernel(codes, out, width, tiles, TILE: tl.constexpr):
    """KEY_FIELDS of one tile. Grid (T, B)."""
    tile = tl.program_id(0)
    row = tl.program_id(1).to(tl.int64)
    code = load_keys(codes + row * width, tile * TILE, TILE)
    public, private = code >= 0, code <= -3
    where = out + row * KEY_FIELDS * tiles + tile
    tl.store(where, tl.min(tl.where(public, code, INT_MAX), axis=0))
    tl.store(where + tiles, tl.max(tl.where(public, code, INT_MIN), axis=0))
    tl.store(where + 2 * tiles, tl.min(tl.where(private, code, INT_MAX), axis=0))
    tl.store(where + 3 * tiles, tl.max(tl.where(private, code, INT_MIN), axis=0))
    tl.store(where + 4 * tiles, tl.min(tl.where(code == -2, 0, 1), axis=0))


@triton.jit
def query_summary_kernel(codes, out, width, tiles, TILE: tl.constexpr):
    """QUERY_FIELDS of one tile. Grid (T, B)."""
    tile = tl.program_id(0)
    row = tl.program_id(1).to(tl.int64)
    low, high, own = load_queries(codes + row * 3 * width, tile * TILE, width, TILE)
    private = own != -1
    where = out + row * QUERY_FIELDS * tiles + tile
    tl.store(where, tl.min(low, axis=0))
    tl.store(where + tiles, tl.max(low, axis=0))
    tl.store(where + 2 * tiles, tl.min(high, axis=0))
    tl.store(where + 3 * tiles, tl.max(high, axis=0))
    tl.store(where + 4 * tiles, tl.min(tl.where(private, own, INT_MAX), axis=0))
    tl.store(where + 5 * tiles, tl.max(tl.where(private, own, INT_MIN), axis=0))
    tl.store(where + 6 * tiles, tl.min(tl.where(private, 1, 0), axis=0))


@dataclass(frozen=True)
class Tiles:
    """What a kernel reads of one side of a visibility.

    Attributes:
        codes: (B, 1, Wk) or (B, 3, Wq) int32, see `codes`.
        summary: (B, fields, T) int32, see `predicate`.
        count: T.
        width: W, numbers in a row of codes.
    """

    codes: torch.Tensor
    summary: torch.Tensor
    count: int
    width: int


def query_tiles(visibility: Visibility, tile: int) -> Tiles:
    """Codes and summaries of the queries, computed once per visibility and tile size."""
    codes = visibility.fact("query_codes", lambda: query_codes(visibility))
    return visibility.fact(
        ("query_tiles", tile),
        lambda: _tiles(
            codes, visibility.queries.length, tile, query_summary_kernel, QUERY_FIELDS.value
        ),
    )


def key_tiles(visibility: Visibility, tile: int) -> Tiles:
    """Codes and summaries of the keys, computed once per visibility and tile size."""
    codes = visibility.fact("key_codes", lambda: key_codes(visibility))
    return visibility.fact(
        ("key_tiles", tile),
        lambda: _tiles(codes, visibility.keys.length, tile, key_summary_kernel, KEY_FIELDS.value),
    )


def _tiles(
    codes: torch.Tensor, length: int, tile: int, kernel: triton.JITFunction, fields: int
) -> Tiles:
    batch, _, width = codes.shape
    count = triton.cdiv(length, tile)
    summary = torch.empty(batch, fields, count, dtype=torch.int32, device=codes.device)
    if count and batch:
        kernel[(count, batch)](codes, summary, width, count, TILE=tile)
    return Tiles(codes, summary, count, width)
