"""Launches the kernels: buffers, strides, grids.

Shapes: q, out (B, Hq, Lq, D); k, v (B, Hkv, Lk, D); lse, delta (B, Hq, Lq) fp32.
"""

from __future__ import annotations

from typing import Any

import torch
import triton

from latentreason_kernels.triton_ops import configs
from latentreason_kernels.triton_ops.backward import (
    delta_kernel,
    key_gradient_kernel,
    query_gradient_kernel,
)
from latentreason_kernels.triton_ops.configs import Config, padded_dim
from latentreason_kernels.triton_ops.decode import decode_kernel, merge_kernel
from latentreason_kernels.triton_ops.forward import forward_kernel
from latentreason_kernels.triton_ops.summary import key_tiles, query_tiles
from latentreason_kernels.triton_ops.tuning import choose
from latentreason_kernels.visibility import Visibility

MAX_SPLITS = 64
DELTA_ROWS = 64


def rows_contiguous(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself if its last dimension has stride 1, as the kernels need, else a copy."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _strides(*tensors: torch.Tensor) -> tuple[int, ...]:
    return tuple(stride for tensor in tensors for stride in tensor.stride()[:3])


def _options(config: Config, q: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {
        "DIM": q.shape[-1],
        "BLOCK_D": padded_dim(q.shape[-1]),
        "PRECISION": "ieee" if q.dtype == torch.float32 else "tf32",
        "enable_fp_fusion": True,
        "num_warps": config.warps,
        "num_stages": config.stages,
        **more,
    }


def _like_rows(tensor: torch.Tensor) -> torch.Tensor:
    """An empty (B, H, L, D) laid out as (B, L, H, D), which is how a model goes on with it."""
    batch, heads, length, dim = tensor.shape
    return tensor.new_empty(batch, length, heads, dim).transpose(1, 2)


def forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """out (B, Hq, Lq, D) and lse (B, Hq, Lq) fp32, by the decode kernel where it fits."""
    out = _like_rows(q)
    lse = torch.empty(q.shape[:3], dtype=torch.float32, device=q.device)
    if out.numel() == 0:
        return out, lse
    if k.shape[2] == 0:
        return out.zero_(), lse.fill_(float("-inf"))
    run = _decode if fits_decode(q, k) else _forward
    name = "decode" if run is _decode else "forward"
    config = choose(name, q, k, lambda c: run(c, q, k, v, visibility, scale, out, lse))
    run(config, q, k, v, visibility, scale, out, lse)
    return out, lse


def fits_decode(q: torch.Tensor, k: torch.Tensor) -> bool:
    """Whether there are so few queries and so many keys that the keys should be split."""
    rows = q.shape[2] * (q.shape[1] // k.shape[1])
    few = q.shape[2] <= configs.DECODE_QUERIES and rows <= max(configs.DECODE_ROWS)
    return few and k.shape[2] >= configs.DECODE_KEYS


def _forward(
    config: Config,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visibility: Visibility,
    scale: float,
    out: torch.Tensor,
    lse: torch.Tensor,
) -> None:
    queries, keys = query_tiles(visibility, config.block_q), key_tiles(visibility, config.block_k)
    batch, heads, q_length, _ = q.shape
    lengths = (heads // k.shape[1], q_length, k.shape[2])
    sizes = (heads, *lengths, queries.count, keys.count, queries.width, keys.width)
    tensors = (q, k, v, out, lse, queries.codes, keys.codes, queries.summary, keys.summary)
    options = _options(config, q, BLOCK_Q=config.block_q, BLOCK_K=config.block_k)
    grid = (queries.count * batch * heads,)
    forward_kernel[grid](*tensors, scale, *_strides(q, k, v, out), *sizes, **options)


def _decode(
    config: Config,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    visibility: Visibility,
    scale: float,
    out: torch.Tensor,
    lse: torch.Tensor,
) -> None:
    batch, heads, q_length, dim = q.shape
    k_heads, k_length = k.shape[1], k.shape[2]
    needed = q_length * heads // k_heads
    rows = min(size for size in configs.DECODE_ROWS if size >= needed)
    queries = query_tiles(visibility, configs.DECODE_QUERIES)
    keys = key_tiles(visibility, config.block_k)
    splits, per_split = split_keys(keys.count, batch * k_heads, q.device)
    part_out = torch.empty(splits, *q.shape, dtype=torch.float32, device=q.device)
    part_lse = torch.empty(splits, *lse.shape, dtype=torch.float32, device=q.device)
    tensors = (
        q,
        k,
        v,
        part_out,
        part_lse,
        queries.codes,
        keys.codes,
        queries.summary,
        keys.summary,
    )
    lengths = (heads // k_heads, q_length, k_length)
    sizes = (batch, k_heads, *lengths, keys.count, per_split, queries.width, keys.width)
    options = _options(config, q, BLOCK_Q=rows, BLOCK_K=config.block_k)
    grid = (splits, batch * k_heads)
    decode_kernel[grid](*tensors, scale, *_strides(q, k, v), *sizes, **options)
    merge_kernel[(lse.numel(),)](
        part_out, part_lse, out, lse, *_strides(out), heads, q_length, lse.numel(), splits,
        DIM=dim, BLOCK_D=padded_dim(dim),
    )  # fmt: skip


def split_keys(tiles: int, programs: int, device: torch.device) -> tuple[int, int]:
    """(splits, key tiles per split): two waves of programs on the GPU, each with at least 2 tiles.

    Args:
        tiles: tiles of keys.
        programs: programs without splitting, B * Hkv.
        device: whose number of multiprocessors counts; 8 where it is no GPU.
    """
    cuda = device.type == "cuda"
    units = torch.cuda.get_device_properties(device).multi_processor_count if cuda else 8
    wanted = max(1, min(triton.cdiv(2 * units, programs), MAX_SPLITS, tiles // 2))
    per_split = triton.cdiv(tiles, wanted)
    return triton.cdiv(tiles, per_split), per_split


def delta(
    out: torch.Tensor, d_out: torch.Tensor, d_lse: torch.Tensor | None, lse: torch.Tensor
) -> torch.Tensor:
    """rowsum(d_out * out) - d_lse, (B, Hq, Lq) fp32."""
    batch, heads, length, dim = out.shape
    result = torch.empty_like(lse)
    tiles = triton.cdiv(length, DELTA_ROWS)
    given = result if d_lse is None else d_lse.float().contiguous()
    delta_kernel[(tiles * batch * heads,)](
        out, d_out, given, result, *_strides(out, d_out), heads, length, tiles,
        DIM=dim, BLOCK_D=padded_dim(dim), BLOCK_Q=DELTA_ROWS, HAS_LSE=d_lse is not None,
    )  # fmt: skip
    return result


def backward(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    d_out: torch.Tensor,
    lse: torch.Tensor,
    row_delta: torch.Tensor,
    visibility: Visibility,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """dq, dk, dv in the dtypes of q, k, v."""
    dq, dk, dv = _like_rows(q), _like_rows(k), _like_rows(v)
    common = (q, k, v, d_out, lse, row_delta)
    heads, k_heads = q.shape[1], k.shape[1]
    lengths = (heads // k_heads, q.shape[2], k.shape[2])

    def queries_kernel(config: Config) -> None:
        a, b = query_tiles(visibility, config.block_q), key_tiles(visibility, config.block_k)
        sizes = (heads, *lengths, a.count, b.count, a.width, b.width)
        query_gradient_kernel[(a.count * q.shape[0] * heads,)](
            *common, dq, a.codes, b.codes, a.summary, b.summary, scale,
            *_strides(q, k, v, d_out, dq), *sizes,
            **_options(config, q, BLOCK_Q=config.block_q, BLOCK_K=config.block_k),
        )  # fmt: skip

    def keys_kernel(config: Config) -> None:
        a, b = query_tiles(visibility, config.block_q), key_tiles(visibility, config.block_k)
        sizes = (k_heads, *lengths, a.count, b.count, a.width, b.width)
        key_gradient_kernel[(b.count * q.shape[0] * k_heads,)](
            *common, dk, dv, a.codes, b.codes, a.summary, b.summary, scale,
            *_strides(q, k, v, d_out, dk), *sizes,
            **_options(config, q, BLOCK_Q=config.block_q, BLOCK_K=config.block_k),
        )  # fmt: skip

    queries_kernel(choose("query_gradient", q, k, queries_kernel))
    keys_kernel(choose("key_gradient", q, k, keys_kernel))
    return dq, dk, dv
