"""Decoding: few queries, long keys. Keys are split over programs, partial results merged by LSE.

Shapes: q, out (B, Hq, Lq, D) with G * Lq <= BLOCK_R; k, v (B, Hkv, Lk, D); S splits of the keys;
part_out (S, B, Hq, Lq, D) fp32; part_lse (S, B, Hq, Lq) fp32.
The G query heads of one key head and their Lq queries are the rows of one tile (row = g * Lq + i),
so the keys are read once for all of them.
"""

import triton
import triton.language as tl

from latentreason_kernels.triton_ops.forward import LOG2_E, NEG_INF, attend_tiles, finish
from latentreason_kernels.triton_ops.predicate import INT_MAX, INT_MIN, KEY_FIELDS, QUERY_FIELDS


@triton.jit
def decode_kernel(
    q, k, v, part_out, part_lse, q_codes, k_codes, q_summary, k_summary, scale,
    q_sb, q_sh, q_sl, k_sb, k_sh, k_sl, v_sb, v_sh, v_sl,
    batch, k_heads, group, q_length, k_length, k_tiles, tiles_per_split, q_width, k_width,
    DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Grid (S, B * Hkv): one split of the keys of one key head for its G * Lq queries."""
    split = tl.program_id(0)
    row_head = tl.program_id(1)
    row, k_head = (row_head // k_heads).to(tl.int64), (row_head % k_heads).to(tl.int64)
    cols = tl.arange(0, BLOCK_D)
    rows = tl.arange(0, BLOCK_Q)
    member, query = rows // q_length, rows % q_length
    real = rows < group * q_length
    heads = k_head * group + member.to(tl.int64)
    inside = real[:, None] & (cols < DIM)[None, :]
    from_q = q + row * q_sb + heads * q_sh + query.to(tl.int64) * q_sl
    queries = tl.load(from_q[:, None] + cols[None, :], mask=inside, other=0.0)
    codes = q_codes + row * 3 * q_width
    low = tl.load(codes + query, mask=real, other=INT_MAX)
    high = tl.load(codes + q_width + query, mask=real, other=INT_MIN)
    own = tl.load(codes + 2 * q_width + query, mask=real, other=-1)
    first = split * tiles_per_split
    last = min(first + tiles_per_split, k_tiles)
    acc, top, total = attend_tiles(
        queries, low, high, own, q_summary + row * QUERY_FIELDS, 0, 1,
        k_summary + row * KEY_FIELDS * k_tiles, k_tiles, first, last,
        k + row * k_sb + k_head * k_sh, v + row * v_sb + k_head * v_sh, k_sl, v_sl,
        k_codes + row * k_width, k_length, cols, scale * LOG2_E,
        DIM, BLOCK_Q, BLOCK_K, PRECISION,
    )  # fmt: skip
    result, log = finish(acc, top, total)
    flat = ((split.to(tl.int64) * batch + row) * k_heads * group + heads) * q_length + query
    tl.store(part_lse + flat, log, mask=real)
    tl.store(part_out + flat[:, None] * DIM + cols[None, :], result, mask=inside)


@triton.jit
def merge_kernel(
    part_out, part_lse, out, lse, o_sb, o_sh, o_sl, q_heads, q_length, queries, splits,
    DIM: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Merges the S partial results of one query of one head. Grid (B * Hq * Lq,)."""
    flat = tl.program_id(0).to(tl.int64)
    row_head, query = flat // q_length, flat % q_length
    row, head = row_head // q_heads, row_head % q_heads
    cols = tl.arange(0, BLOCK_D)
    acc = tl.zeros([BLOCK_D], dtype=tl.float32)
    top = tl.load(part_lse + flat)
    at = flat
    for _ in range(1, splits):
        at += queries
        top = tl.maximum(top, tl.load(part_lse + at))
    offset = tl.where(top == NEG_INF, 0.0, top)
    total = offset * 0.0
    at = flat
    for _ in range(0, splits):
        weight = tl.exp(tl.load(part_lse + at) - offset)
        acc += weight * tl.load(part_out + at * DIM + cols, mask=cols < DIM, other=0.0)
        total += weight
        at += queries
    seen = total > 0.0
    safe = tl.where(seen, total, 1.0)
    tl.store(lse + flat, tl.where(seen, offset + tl.log(safe), NEG_INF))
    to = out + row * o_sb + head * o_sh + query * o_sl + cols
    tl.store(to, (acc / safe).to(out.dtype.element_ty), mask=cols < DIM)
