"""One integer per key, three per query: the visibility predicate for registers.

Shapes: B rows, Lq queries, Lk keys, Wq and Wk the same rounded up to whole tiles of any size in
use, so that kernels read codes without bounds. Key codes (B, 1, Wk) int32, query codes (B, 3, Wq).

A kernel holds a key's metadata in every thread that owns a score of its column, so four integers
per key cost more registers than the scores. Ranking the keys of a row once by (doc, order), private
ones by (doc, group), turns the predicate into

    low_i <= code_j <= high_i   or   code_j == own_i

where a public key's code is its rank >= 0, a private key's -3 - rank, padding's -2, and `own` is
the code of the query's own group (-1: none). One sort of Lk numbers per row, no host
synchronisation; exact for all int32 values of doc, order, reach and group >= 0.
"""

from __future__ import annotations

import torch

from latentreason_kernels.tokens import Tokens
from latentreason_kernels.visibility import Visibility

WHOLE_TILES = 128  # every tile size of tokens in configs.py divides it
NO_GROUP, PADDING_CODE, FIRST_PRIVATE = -1, -2, -3
_INT32 = torch.iinfo(torch.int32)
_PADDING_KEY = torch.iinfo(torch.int64).min


def _public(doc: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """(doc, order) as one int64 >= 0 that sorts by doc, then order."""
    return (doc.long() << 32) + (order.long() - _INT32.min)


def _private(doc: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """(doc, group) as one int64 < 0, so that private keys sort before all public ones."""
    return -((doc.long() << 32) + group.long()) - 1


def _sorted_keys(keys: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
    """The keys of each row as int64 numbers, and the same sorted, both (B, Lk)."""
    number = torch.where(
        keys.group == 0, _public(keys.doc, keys.order), _private(keys.doc, keys.group)
    )
    number = number.masked_fill((keys.doc < 0) | (keys.group < 0), _PADDING_KEY)
    return number, number.sort(dim=1).values


def _rank(ordered: torch.Tensor, number: torch.Tensor, *, right: bool = False) -> torch.Tensor:
    return torch.searchsorted(ordered, number.contiguous(), right=right, out_int32=True)


def key_codes(visibility: Visibility) -> torch.Tensor:
    """(B, 1, Wk) int32 codes of the keys."""
    number, ordered = visibility.fact("sorted_keys", lambda: _sorted_keys(visibility.keys))
    rank = _rank(ordered, number)
    code = torch.where(number >= 0, rank, FIRST_PRIVATE - rank)
    code = code.masked_fill(number == _PADDING_KEY, PADDING_CODE)
    return _widen(code, PADDING_CODE)[:, None].contiguous()


def query_codes(visibility: Visibility) -> torch.Tensor:
    """(B, 3, Wq) int32: low, high and own of the queries; padding sees nothing."""
    _, ordered = visibility.fact("sorted_keys", lambda: _sorted_keys(visibility.keys))
    queries = visibility.queries
    # Padding is given document 0 for the search and blanked after it.
    doc, real = queries.doc.clamp(min=0), queries.doc >= 0
    start = torch.full_like(doc, _INT32.min)
    low = _rank(ordered, _public(doc, start))
    high = _rank(ordered, _public(doc, queries.reach), right=True) - 1
    group = _private(doc, queries.group)
    first, after = _rank(ordered, group), _rank(ordered, group, right=True)
    has_own = real & (queries.group > 0) & (after > first)
    own = torch.where(has_own, FIRST_PRIVATE - first, NO_GROUP)
    low = low.masked_fill(~real, _INT32.max)
    high = high.masked_fill(~real, _INT32.min)
    wide = [_widen(f, v) for f, v in ((low, _INT32.max), (high, _INT32.min), (own, NO_GROUP))]
    return torch.stack(wide, dim=1)


def _widen(codes: torch.Tensor, fill: int) -> torch.Tensor:
    extra = -codes.shape[1] % WHOLE_TILES
    return torch.nn.functional.pad(codes, (0, extra), value=fill)
