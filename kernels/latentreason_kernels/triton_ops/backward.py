"""Backward in two kernels without atomics, so that equal inputs give equal bits.

Shapes: q, out, d_out, dq (B, Hq, Lq, D); k, v, dk, dv (B, Hkv, Lk, D); lse, delta (B, Hq, Lq) fp32.
With P the weights and S the scaled scores: dS = P * (dOut V^T - delta), where delta is
rowsum(dOut * Out) - dLse, which is how a gradient of the LSE enters at no cost.
"""

import triton
import triton.language as tl

from latentreason_kernels.triton_ops.forward import LOG2_E, load_rows
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


@triton.jit
def delta_kernel(
    out, d_out, d_lse, delta, o_sb, o_sh, o_sl, g_sb, g_sh, g_sl, q_heads, q_length, q_tiles,
    DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, HAS_LSE: tl.constexpr,
):  # fmt: skip
    """delta of one tile of queries. Grid (q_tiles * B * Hq,)."""
    program = tl.program_id(0)
    tile, row_head = program % q_tiles, program // q_tiles
    row, head = (row_head // q_heads).to(tl.int64), (row_head % q_heads).to(tl.int64)
    start = tile * BLOCK_Q
    cols = tl.arange(0, BLOCK_D)
    o = load_rows(out + row * o_sb + head * o_sh, o_sl, start, q_length, cols, DIM, BLOCK_Q, True)
    g = load_rows(d_out + row * g_sb + head * g_sh, g_sl, start, q_length, cols, DIM, BLOCK_Q, True)
    rows = start + tl.arange(0, BLOCK_Q)
    where = row_head.to(tl.int64) * q_length + rows
    result = tl.sum(o.to(tl.float32) * g.to(tl.float32), axis=1)
    if HAS_LSE:
        result -= tl.load(d_lse + where, mask=rows < q_length, other=0.0)
    tl.store(delta + where, result, mask=rows < q_length)


@triton.jit
def load_vector(base, start, length, BLOCK: tl.constexpr, MASKED: tl.constexpr):
    """BLOCK numbers from `start` on; a FULL tile has no queries beyond `length`."""
    offsets = start + tl.arange(0, BLOCK)
    if MASKED:
        return tl.load(base + offsets, mask=offsets < length, other=0.0)
    return tl.load(base + offsets)


@triton.jit
def query_step(
    acc, q, g, lse_log2, delta, low, high, own, k_base, v_base, k_stride, v_stride, k_codes,
    tile, k_length, cols, scale_log2,
    DIM: tl.constexpr, BLOCK_K: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds one tile of keys to dQ (without the factor scale)."""
    start = tile * BLOCK_K
    k = load_rows(k_base, k_stride, start, k_length, cols, DIM, BLOCK_K, MASKED)
    v = load_rows(v_base, v_stride, start, k_length, cols, DIM, BLOCK_K, MASKED)
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale_log2
    weights = tl.exp2(scores - lse_log2[:, None])
    if MASKED:
        code = load_keys(k_codes, start, BLOCK_K)
        seen = sees(low[:, None], high[:, None], own[:, None], code[None, :])
        weights = tl.where(seen, weights, 0.0)
    d_weights = tl.dot(g, tl.trans(v), input_precision=PRECISION)
    d_scores = weights * (d_weights - delta[:, None])
    return tl.dot(d_scores.to(k.dtype), k, acc, input_precision=PRECISION)


@triton.jit
def query_gradient_kernel(
    q, k, v, d_out, lse, delta, dq, q_codes, k_codes, q_summary, k_summary, scale,
    q_sb, q_sh, q_sl, k_sb, k_sh, k_sl, v_sb, v_sh, v_sl, g_sb, g_sh, g_sl, dq_sb, dq_sh, dq_sl,
    q_heads, group, q_length, k_length, q_tiles, k_tiles, q_width, k_width,
    DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """dQ of one tile of queries. Grid (q_tiles * B * Hq,)."""
    program = tl.program_id(0)
    q_tile = q_tiles - 1 - program % q_tiles
    row_head = program // q_tiles
    row, head = (row_head // q_heads).to(tl.int64), (row_head % q_heads).to(tl.int64)
    k_head = head // group
    start = q_tile * BLOCK_Q
    cols = tl.arange(0, BLOCK_D)
    rows = start + tl.arange(0, BLOCK_Q)
    queries = load_rows(
        q + row * q_sb + head * q_sh, q_sl, start, q_length, cols, DIM, BLOCK_Q, True
    )
    g = load_rows(d_out + row * g_sb + head * g_sh, g_sl, start, q_length, cols, DIM, BLOCK_Q, True)
    where = row_head.to(tl.int64) * q_length + rows
    lse_log2 = tl.load(lse + where, mask=rows < q_length, other=0.0) * LOG2_E
    row_delta = tl.load(delta + where, mask=rows < q_length, other=0.0)
    low, high, own = load_queries(q_codes + row * 3 * q_width, start, q_width, BLOCK_Q)
    q_row, k_row = q_summary + row * QUERY_FIELDS * q_tiles, k_summary + row * KEY_FIELDS * k_tiles
    qa, qb, qc, qd, qe, qf, qg = load_query_summary(q_row, q_tile, q_tiles)
    k_base, v_base = k + row * k_sb + k_head * k_sh, v + row * v_sb + k_head * v_sh
    k_rows = k_codes + row * k_width
    acc = tl.zeros([BLOCK_Q, BLOCK_D], dtype=tl.float32)
    index = tl.arange(0, CHUNK)
    for chunk in range(0, k_tiles, CHUNK):
        ka, kb, kc, kd, ke = load_key_summary(k_row, chunk + index, k_tiles)
        classes = tile_class(qa, qb, qc, qd, qe, qf, qg, ka, kb, kc, kd, ke)
        first, full_end, mixed_end = next_run(classes, index, 0)
        while first < CHUNK:
            for tile in range(chunk + first, chunk + full_end):
                acc = query_step(
                    acc, queries, g, lse_log2, row_delta, low, high, own, k_base, v_base,
                    k_sl, v_sl, k_rows, tile, k_length, cols, scale * LOG2_E,
                    DIM, BLOCK_K, False, PRECISION,
                )  # fmt: skip
            for tile in tl.range(chunk + full_end, chunk + mixed_end, num_stages=MIXED_STAGES):
                acc = query_step(
                    acc, queries, g, lse_log2, row_delta, low, high, own, k_base, v_base,
                    k_sl, v_sl, k_rows, tile, k_length, cols, scale * LOG2_E,
                    DIM, BLOCK_K, True, PRECISION,
                )  # fmt: skip
            first, full_end, mixed_end = next_run(classes, index, mixed_end)
    pointers = dq + row * dq_sb + head * dq_sh + rows.to(tl.int64)[:, None] * dq_sl + cols[None, :]
    inside = (rows < q_length)[:, None] & (cols < DIM)[None, :]
    tl.store(pointers, (acc * scale).to(dq.dtype.element_ty), mask=inside)


@triton.jit
def key_step(
    dk, dv, k, v, code, q_base, g_base, q_stride, g_stride, q_codes, lse, delta,
    tile, q_length, q_width, cols, scale_log2,
    DIM: tl.constexpr, BLOCK_Q: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Adds one tile of queries to dK (without the factor scale) and dV."""
    start = tile * BLOCK_Q
    q = load_rows(q_base, q_stride, start, q_length, cols, DIM, BLOCK_Q, MASKED)
    lse_log2 = load_vector(lse, start, q_length, BLOCK_Q, MASKED) * LOG2_E
    # Keys run down, queries across: the weights come out transposed, as both products need them.
    scores = tl.dot(k, tl.trans(q), input_precision=PRECISION) * scale_log2
    weights = tl.exp2(scores - lse_log2[None, :])
    if MASKED:
        low, high, own = load_queries(q_codes, start, q_width, BLOCK_Q)
        seen = sees(low[None, :], high[None, :], own[None, :], code[:, None])
        weights = tl.where(seen, weights, 0.0)
    g = load_rows(g_base, g_stride, start, q_length, cols, DIM, BLOCK_Q, MASKED)
    dv = tl.dot(weights.to(g.dtype), g, dv, input_precision=PRECISION)
    row_delta = load_vector(delta, start, q_length, BLOCK_Q, MASKED)
    d_weights = tl.dot(v, tl.trans(g), input_precision=PRECISION)
    d_scores = weights * (d_weights - row_delta[None, :])
    dk = tl.dot(d_scores.to(q.dtype), q, dk, input_precision=PRECISION)
    return dk, dv


@triton.jit
def key_gradient_kernel(
    q, k, v, d_out, lse, delta, dk, dv, q_codes, k_codes, q_summary, k_summary, scale,
    q_sb, q_sh, q_sl, k_sb, k_sh, k_sl, v_sb, v_sh, v_sl, g_sb, g_sh, g_sl, dk_sb, dk_sh, dk_sl,
    k_heads, group, q_length, k_length, q_tiles, k_tiles, q_width, k_width,
    DIM: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """dK and dV of one tile of keys, summed over its query heads. Grid (k_tiles * B * Hkv,)."""
    program = tl.program_id(0)
    k_tile, row_head = program % k_tiles, program // k_tiles
    row, k_head = (row_head // k_heads).to(tl.int64), (row_head % k_heads).to(tl.int64)
    start = k_tile * BLOCK_K
    cols = tl.arange(0, BLOCK_D)
    k_base, v_base = k + row * k_sb + k_head * k_sh, v + row * v_sb + k_head * v_sh
    keys = load_rows(k_base, k_sl, start, k_length, cols, DIM, BLOCK_K, True)
    values = load_rows(v_base, v_sl, start, k_length, cols, DIM, BLOCK_K, True)
    code = load_keys(k_codes + row * k_width, start, BLOCK_K)
    q_row, k_row = q_summary + row * QUERY_FIELDS * q_tiles, k_summary + row * KEY_FIELDS * k_tiles
    ka, kb, kc, kd, ke = load_key_summary(k_row, k_tile, k_tiles)
    q_rows = q_codes + row * 3 * q_width
    d_keys = tl.zeros([BLOCK_K, BLOCK_D], dtype=tl.float32)
    d_values = tl.zeros([BLOCK_K, BLOCK_D], dtype=tl.float32)
    index = tl.arange(0, CHUNK)
    for member in range(group):
        head = k_head * group + member
        q_base, g_base = q + row * q_sb + head * q_sh, d_out + row * g_sb + head * g_sh
        logs = (row * k_heads * group + head) * q_length
        for chunk in range(0, q_tiles, CHUNK):
            qa, qb, qc, qd, qe, qf, qg = load_query_summary(q_row, chunk + index, q_tiles)
            classes = tile_class(qa, qb, qc, qd, qe, qf, qg, ka, kb, kc, kd, ke)
            first, full_end, mixed_end = next_run(classes, index, 0)
            while first < CHUNK:
                for tile in range(chunk + first, chunk + full_end):
                    d_keys, d_values = key_step(
                        d_keys, d_values, keys, values, code, q_base, g_base, q_sl, g_sl, q_rows,
                        lse + logs, delta + logs, tile, q_length, q_width, cols, scale * LOG2_E,
                        DIM, BLOCK_Q, False, PRECISION,
                    )  # fmt: skip
                for tile in tl.range(chunk + full_end, chunk + mixed_end, num_stages=MIXED_STAGES):
                    d_keys, d_values = key_step(
                        d_keys, d_values, keys, values, code, q_base, g_base, q_sl, g_sl, q_rows,
                        lse + logs, delta + logs, tile, q_length, q_width, cols, scale * LOG2_E,
                        DIM, BLOCK_Q, True, PRECISION,
                    )  # fmt: skip
                first, full_end, mixed_end = next_run(classes, index, mixed_end)
    rows = start + tl.arange(0, BLOCK_K)
    where = row * dk_sb + k_head * dk_sh + rows.to(tl.int64)[:, None] * dk_sl + cols[None, :]
    inside = (rows < k_length)[:, None] & (cols < DIM)[None, :]
    tl.store(dk + where, (d_keys * scale).to(dk.dtype.element_ty), mask=inside)
    tl.store(dv + where, d_values.to(dv.dtype.element_ty), mask=inside)
