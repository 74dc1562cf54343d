"""The predicate on codes in registers, and how a tile of queries meets a tile of keys.

Codes are those of `codes.py`. Key summaries have KEY_FIELDS integers per tile: lowest and highest
public code, lowest and highest private code, 1 if no key is padding. Query summaries have
QUERY_FIELDS: lowest and highest `low`, lowest and highest `high`, lowest and highest `own` of the
private queries, 1 if all are private. An empty range has low > high.
"""

import triton
import triton.language as tl

# How a tile of queries meets a tile of keys. Triton reads globals only as constexpr.
SKIP = tl.constexpr(0)
MIXED = tl.constexpr(1)
FULL = tl.constexpr(2)
# Key (or query) tiles whose class is computed at once; a row of more tiles is walked in chunks.
CHUNK = tl.constexpr(128)
# Loads in flight in a loop over MIXED tiles: a third stage spills registers (compile_report.py).
MIXED_STAGES = tl.constexpr(2)
KEY_FIELDS = tl.constexpr(5)
QUERY_FIELDS = tl.constexpr(7)
INT_MAX = tl.constexpr(2147483647)
INT_MIN = tl.constexpr(-2147483648)


@triton.jit
def sees(low, high, own, code):
    """Whether queries with (low, high, own) see keys with code, on broadcastable blocks."""
    return ((code >= low) & (code <= high)) | (code == own)


@triton.jit
def load_keys(base, start, BLOCK: tl.constexpr):
    """Codes of BLOCK keys from `start` on; rows of codes are padded to whole tiles."""
    return tl.load(base + start + tl.arange(0, BLOCK))


@triton.jit
def load_queries(base, start, width, BLOCK: tl.constexpr):
    """low, high, own of BLOCK queries from `start` on, in rows of `width` numbers."""
    offsets = start + tl.arange(0, BLOCK)
    low = tl.load(base + offsets)
    high = tl.load(base + width + offsets)
    own = tl.load(base + 2 * width + offsets)
    return low, high, own


@triton.jit
def load_key_summary(base, tile, tiles):
    """The KEY_FIELDS of one tile or a block of tiles; beyond the end nothing is visible."""
    inside = tile < tiles
    public_low = tl.load(base + tile, mask=inside, other=INT_MAX)
    public_high = tl.load(base + tiles + tile, mask=inside, other=INT_MIN)
    private_low = tl.load(base + 2 * tiles + tile, mask=inside, other=INT_MAX)
    private_high = tl.load(base + 3 * tiles + tile, mask=inside, other=INT_MIN)
    all_real = tl.load(base + 4 * tiles + tile, mask=inside, other=0)
    return public_low, public_high, private_low, private_high, all_real


@triton.jit
def load_query_summary(base, tile, tiles):
    """The QUERY_FIELDS of one tile or a block of tiles; beyond the end nothing is seen."""
    inside = tile < tiles
    low_least = tl.load(base + tile, mask=inside, other=INT_MAX)
    low_most = tl.load(base + tiles + tile, mask=inside, other=INT_MAX)
    high_least = tl.load(base + 2 * tiles + tile, mask=inside, other=INT_MIN)
    high_most = tl.load(base + 3 * tiles + tile, mask=inside, other=INT_MIN)
    own_low = tl.load(base + 4 * tiles + tile, mask=inside, other=INT_MAX)
    own_high = tl.load(base + 5 * tiles + tile, mask=inside, other=INT_MIN)
    all_private = tl.load(base + 6 * tiles + tile, mask=inside, other=0)
    return low_least, low_most, high_least, high_most, own_low, own_high, all_private


@triton.jit
def tile_class(
    low_least, low_most, high_least, high_most, own_low, own_high, all_private,
    public_low, public_high, private_low, private_high, all_real,
):  # fmt: skip
    """SKIP where no pair can see, FULL where every pair provably does, else MIXED."""
    public_some = (public_low <= high_most) & (public_high >= low_least)
    private_some = (private_low <= own_high) & (private_high >= own_low)
    public_all = (public_low >= low_most) & (public_high <= high_least)
    no_public, no_private = public_high == INT_MIN, private_high == INT_MIN
    one_group = (private_low == private_high) & (own_low == own_high) & (own_low == private_low)
    private_all = one_group & (all_private == 1)
    full = (public_all | no_public) & (private_all | no_private) & (all_real == 1)
    return tl.where(full, FULL, tl.where(public_some | private_some, MIXED, SKIP))


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
