"""The tile sizes a kernel may run with: a short fixed list per kernel and head dim.

The first of a list is the default; tuning picks among the list. Each entry is compiled for sm_90
by benchmarks/compile_report.py, which reports registers, spills and shared memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

KERNELS = ("forward", "decode", "key_gradient", "query_gradient")
DECODE_QUERIES = 16  # the decode kernel serves at most so many queries (of one head)
DECODE_ROWS = (16, 64)  # rows of its tile: query heads of a key head times queries, rounded up
DECODE_KEYS = 512  # below so many keys splitting them gains nothing


@dataclass(frozen=True)
class Config:
    """Tile of queries, tile of keys (tokens), warps, pipeline stages."""

    block_q: int
    block_k: int
    warps: int
    stages: int


# By padded head dim. Chosen so that nothing spills up to 128 (benchmarks/compile_report.py); which
# of a list is fastest is for tuning on a GPU to say.
_TABLE: dict[str, dict[int, tuple[Config, ...]]] = {
    "forward": {
        64: (Config(128, 64, 8, 3), Config(128, 128, 8, 2), Config(64, 64, 4, 2)),
        128: (Config(128, 64, 8, 3), Config(128, 32, 8, 3)),
        256: (Config(64, 32, 8, 2),),
    },
    "decode": {
        64: (Config(64, 32, 4, 2),),
        128: (Config(64, 64, 8, 3),),
        256: (Config(64, 32, 8, 2),),
    },
    "key_gradient": {
        64: (Config(64, 128, 8, 2), Config(32, 64, 4, 2)),
        128: (Config(32, 128, 8, 2), Config(16, 128, 8, 2)),
        256: (Config(32, 32, 8, 1),),
    },
    "query_gradient": {
        64: (Config(128, 64, 8, 2), Config(64, 64, 4, 2)),
        128: (Config(128, 32, 8, 2), Config(128, 64, 8, 1)),
        256: (Config(64, 32, 8, 2),),
    },
}
# fp32 runs on the ordinary cores in full precision (no tf32): one small tile, never tuned.
_SINGLE: dict[int, Config] = {
    64: Config(32, 32, 4, 1),
    128: Config(32, 32, 4, 1),
    256: Config(16, 16, 4, 1),
}


def padded_dim(dim: int) -> int:
    """The power of two, at least 16, to which Triton pads a head dim."""
    return max(16, 1 << (dim - 1).bit_length())


def candidates(kernel: str, dim: int, dtype: torch.dtype) -> tuple[Config, ...]:
    """What `kernel` may run with at head dim `dim`, the default first.

    Args:
        kernel: one of KERNELS.
        dim: D.
        dtype: of q.
    """
    key = max(64, padded_dim(dim))
    if dtype == torch.float32:
        return (_SINGLE[key],)
    return _TABLE[kernel][key]
