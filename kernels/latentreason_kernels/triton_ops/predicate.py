"""The visibility predicate in registers, and what a tile of it must be: skipped, mixed or full.

A summary is six integers per tile: lowest and highest doc, order (keys) or reach (queries), group.
Order is of public keys, reach of queries that are no padding; an empty range has low > high.
"""

import triton
import triton.language as tl

# How a tile of queries meets a tile of keys. Triton reads globals only as constexpr.
SKIP = tl.constexpr(0)
MIXED = tl.constexpr(1)
FULL = tl.constexpr(2)
# Key (or query) tiles whose class is computed at once; a row of more tiles is walked in chunks.
CHUNK = tl.constexpr(128)
INT_MAX = tl.constexpr(2147483647)
INT_MIN = tl.constexpr(-2147483648)


@triton.jit
def sees(q_doc, q_reach, q_group, k_doc, k_order, k_group):
    """The contract's predicate on broadcastable blocks of integers."""
    public = (k_group == 0) & (k_order <= q_reach)
    private = (k_group > 0) & (k_group == q_group)
    return (q_doc == k_doc) & (q_doc >= 0) & (public | private)


@triton.jit
def load_summary(base, tile, tiles):
    """Six integers of a tile (or of a block of tiles); beyond the end all is padding."""
    inside = tile < tiles
    doc_low = tl.load(base + tile, mask=inside, other=-1)
    doc_high = tl.load(base + tiles + tile, mask=inside, other=-1)
    at_low = tl.load(base + 2 * tiles + tile, mask=inside, other=0)
    at_high = tl.load(base + 3 * tiles + tile, mask=inside, other=0)
    group_low = tl.load(base + 4 * tiles + tile, mask=inside, other=0)
    group_high = tl.load(base + 5 * tiles + tile, mask=inside, other=0)
    return doc_low, doc_high, at_low, at_high, group_low, group_high


@triton.jit
def tile_class(
    q_doc_low, q_doc_high, reach_low, reach_high, q_group_low, q_group_high,
    k_doc_low, k_doc_high, order_low, order_high, k_group_low, k_group_high,
):  # fmt: skip
    """SKIP where no pair can see, FULL where every pair provably does, else MIXED."""
    docs_meet = (k_doc_high >= tl.maximum(q_doc_low, 0)) & (q_doc_high >= tl.maximum(k_doc_low, 0))
    groups_meet = (k_group_low <= q_group_high) & (k_group_high >= q_group_low)
    some = docs_meet & ((order_low <= reach_high) | groups_meet)
    one_doc = (q_doc_low == q_doc_high) & (k_doc_low == k_doc_high) & (q_doc_low == k_doc_low)
    one_group = (q_group_low == q_group_high) & (k_group_low == k_group_high)
    private_full = (k_group_high == INT_MIN) | (one_group & (q_group_low == k_group_low))
    full = one_doc & (q_doc_low >= 0) & (order_high <= reach_low) & private_full
    return tl.where(full, FULL, tl.where(some, MIXED, SKIP))


@triton.jit
def next_run(classes, index, start):
    """From tile `start` of a chunk: the next run of FULL tiles and the MIXED ones right after it.

    Returns (first, full_end, mixed_end): FULL in first..full_end-1, MIXED in full_end..mixed_end-1;
    first is CHUNK where nothing visible is left.
    """
    first = tl.min(tl.where((classes != SKIP) & (index >= start), index, CHUNK), axis=0)
    full_end = tl.min(tl.where((classes != FULL) & (index >= first), index, CHUNK), axis=0)
    mixed_end = tl.min(tl.where((classes != MIXED) & (index >= full_end), index, CHUNK), axis=0)
    return first, full_end, mixed_end
