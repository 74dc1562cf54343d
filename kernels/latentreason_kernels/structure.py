"""What can be proved about a visibility from O(L) integers, without its mask.

Shapes: B rows, Lq queries, Lk keys.
"""

from __future__ import annotations

import torch

from latentreason_kernels.visibility import Visibility


def one_public_document(visibility: Visibility) -> bool:
    """Whether in each row all tokens, padding aside, are public and of one document."""
    queries, keys = visibility.queries, visibility.keys
    if bool((keys.group != 0).any()):
        return False
    top = torch.maximum(queries.doc.amax(dim=1), keys.doc.amax(dim=1))[:, None]
    same = [(t.doc == top) | (t.doc < 0) for t in (queries, keys)]
    return all(bool(s.all()) for s in same)


def is_full(visibility: Visibility) -> bool:
    """Whether every query sees every key (no padding anywhere)."""
    queries, keys = visibility.queries, visibility.keys
    if not queries.length or not keys.length or bool((queries.doc < 0).any()):
        return False
    if bool((keys.doc < 0).any()) or not one_public_document(visibility):
        return False
    return bool((keys.order.amax(dim=1) <= queries.reach.amin(dim=1)).all())


def is_causal(visibility: Visibility) -> bool:
    """Whether query i sees exactly the keys j <= i, padding at the end of a row aside.

    A padding query may be given anything by a causal kernel: the caller blanks its output.
    """
    queries, keys = visibility.queries, visibility.keys
    if queries.length != keys.length or not queries.length:
        return False
    if not torch.equal(queries.doc < 0, keys.doc < 0) or not one_public_document(visibility):
        return False
    real = keys.doc >= 0
    if bool((real[:, 1:] & ~real[:, :-1]).any()):
        return False
    info = torch.iinfo(torch.int32)
    latest = keys.order.masked_fill(~real, info.min).cummax(dim=1).values
    following = keys.order.masked_fill(~real, info.max).flip(1).cummin(dim=1).values.flip(1)
    sees_past = (latest <= queries.reach) | ~real
    blind_to_next = (following[:, 1:] > queries.reach[:, :-1]) | ~real[:, 1:]
    return bool(sees_past.all()) and bool(blind_to_next.all())
