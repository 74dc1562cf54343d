"""Forward: online softmax over the visible tiles of keys, out and LSE.

Shapes: q (B, Hq, Lq, D); k, v (B, Hkv, Lk, D); out (B, Hq, Lq, D); lse (B, Hq, Lq) fp32.
One program per tile of BLOCK_Q queries of one head. The last dimension of q, k, v, out has
stride 1. Scores are kept in units of log2, since exp2 is what the hardware has.
"""

import triton
import triton.language as tl

from latentreason_kernels.triton_ops.predicate import (
    CHUNK,
    KEY_FIELDS,
    MIXED_STAGES,
    QUERY_FIELDS,
    load_key_summary,
    load_keys,
    load_queries,
    load_query_summary,
    next_run,
    sees,
    tile_class,
)

LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)
NEG_INF = tl.constexpr(float("-inf"))


@triton.jit
def load_rows(
    base, stride, start, length, cols,
    DIM: tl.constexpr, BLOCK: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """BLOCK rows of D numbers from row `start` on; zeros beyond `length` and beyond DIM."""
    rows = tl.arange(0, BLOCK)
    # The tile's origin is a 64-bit address; offsets within a tile fit 32 bits.
    pointers = base + start.to(tl.int64) * stride + rows[:, None] * stride + cols[None, :]
    if MASKED:
        inside = (start + rows < length)[:, None] & (cols < DIM)[None, :]
        return tl.load(pointers, mask=inside, other=0.0)
    if cols.shape[0] == DIM:
        return tl.load(pointers)
    return tl.load(pointers, mask=(cols < DIM)[None, :], other=0.0)


@triton.jit
def softmax_step(
    acc, top, total, q, low, high, own, k_base, v_base, k_stride, v_stride, k_codes,
    tile, k_length, cols, scale_log2,
    DIM: tl.constexpr, BLOCK_K: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Takes one tile of keys into the running (acc, top, total)."""
    start = tile * BLOCK_K
    k = load_rows(k_base, k_stride, start, k_length, cols, DIM, BLOCK_K, MASKED)
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale_log2
    if MASKED:
        code = load_keys(k_codes, start, BLOCK_K)
        seen = sees(low[:, None], high[:, None], own[:, None], code[None, :])
        scores = tl.where(seen, scores, NEG_INF)
    new_top = tl.maximum(top, tl.max(scores, axis=1))
    # A row that has seen nothing yet keeps -inf; subtracting it from itself would be NaN.
    offset = tl.where(new_top == NEG_INF, 0.0, new_top) if MASKED else new_top
    weights = tl.exp2(scores - offset[:, None])
    shrink = tl.exp2(top - offset)
    total = total * shrink + tl.sum(weights, axis=1)
    v = load_rows(v_base, v_stride, start, k_length, cols, DIM, BLOCK_K, MASKED)
    acc = acc * shrink[:, None]
    acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
    return acc, new_top, total


@triton.jit
def attend_tiles(
    q, low, high, own, q_summary, q_tile, q_tiles, k_summary, k_tiles, first_tile, last_tile,
    k_base, v_base, k_stride, v_stride, k_codes, k_length, cols, scale_log2,
    DIM: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Online softmax of one tile of queries over key tiles first_tile..last_tile-1."""
    acc = tl.zeros([BLOCK_Q, cols.shape[0]], dtype=tl.float32)
    top = tl.full([BLOCK_Q], NEG_INF, dtype=tl.float32)
    total = tl.zeros([BLOCK_Q], dtype=tl.float32)
    qa, qb, qc, qd, qe, qf, qg = load_query_summary(q_summary, q_tile, q_tiles)
    index = tl.arange(0, CHUNK)
    for chunk in range(first_tile, last_tile, CHUNK):
        ka, kb, kc, kd, ke = load_key_summary(k_summary, chunk + index, k_tiles)
        classes = tile_class(qa, qb, qc, qd, qe, qf, qg, ka, kb, kc, kd, ke)
        classes = tl.where(chunk + index < last_tile, classes, 0)
        first, full_end, mixed_end = next_run(classes, index, 0)
        while first < CHUNK:
            for tile in range(chunk + first, chunk + full_end):
                acc, top, total = softmax_step(
                    acc, top, total, q, low, high, own, k_base, v_base, k_stride,
                    v_stride, k_codes, tile, k_length, cols, scale_log2,
                    DIM, BLOCK_K, False, PRECISION,
                )  # fmt: skip
            for tile in tl.range(chunk + full_end, chunk + mixed_end, num_stages=MIXED_STAGES):
                acc, top, total = softmax_step(
                    acc, top, total, q, low, high, own, k_base, v_base, k_stride,
                    v_stride, k_codes, tile, k_length, cols, scale_log2,
                    DIM, BLOCK_K, True, PRECISION,
                )  # fmt: skip
            first, full_end, mixed_end = next_run(classes, index, mixed_end)
    return acc, top, total


@triton.jit
def finish(acc, top, total):
    """Normalised output and natural LSE; 0 and -inf for a row that saw nothing."""
    seen = total > 0.0
    out = acc / tl.where(seen, total, 1.0)[:, None]
    lse = tl.where(seen, (top + tl.log2(tl.where(seen, total, 1.0))) * LN_2, NEG_INF)
    return out, lse


@triton.jit
def forward_kernel(
    q, k, v, out, lse, q_codes, k_codes, q_summary, k_summary, scale,
    q_sb, q_sh, q_sl, k_sb, k_sh, k_sl, v_sb, v_sh, v_sl, o_sb, o_sh, o_sl,
    q_heads, group, q_length, k_length, q_tiles, k_tiles, q_width, k_width,
    DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Grid (q_tiles * B * Hq,): the last tiles first, which in most layouts see most."""
    program = tl.program_id(0)
    tile = q_tiles - 1 - program % q_tiles
    row_head = program // q_tiles
    row = (row_head // q_heads).to(tl.int64)
    head = (row_head % q_heads).to(tl.int64)
    k_head = head // group
    start = tile * BLOCK_Q
    cols = tl.arange(0, BLOCK_D)
    q_base = q + row * q_sb + head * q_sh
    queries = load_rows(q_base, q_sl, start, q_length, cols, DIM, BLOCK_Q, True)
    low, high, own = load_queries(q_codes + row * 3 * q_width, start, q_width, BLOCK_Q)
    acc, top, total = attend_tiles(
        queries, low, high, own, q_summary + row * QUERY_FIELDS * q_tiles, tile, q_tiles,
        k_summary + row * KEY_FIELDS * k_tiles, k_tiles, 0, k_tiles,
        k + row * k_sb + k_head * k_sh, v + row * v_sb + k_head * v_sh, k_sl, v_sl,
        k_codes + row * k_width, k_length, cols, scale * LOG2_E,
        DIM, BLOCK_Q, BLOCK_K, PRECISION,
    )  # fmt: skip
    result, log = finish(acc, top, total)
    rows = start + tl.arange(0, BLOCK_Q)
    inside = rows < q_length
    pointers = out + row * o_sb + head * o_sh + rows.to(tl.int64)[:, None] * o_sl + cols[None, :]
    tl.store(
        pointers, result.to(out.dtype.element_ty), mask=inside[:, None] & (cols < DIM)[None, :]
    )
    tl.store(lse + row_head.to(tl.int64) * q_length + rows, log, mask=inside)
