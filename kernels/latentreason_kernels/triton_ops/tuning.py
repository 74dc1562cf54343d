"""Which tile sizes a call runs with: the default, or after tuning the fastest of the short list.

Tuning is off unless asked for, since other tiles round differently: equal calls should give equal
bits in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from latentreason_kernels.triton_ops.configs import Config, candidates

_tuned: dict[tuple[Any, ...], Config] = {}
_pinned: dict[str, Config] = {}
_state = {"on": False}


def set_tuning(on: bool) -> None:
    """Lets later calls time the candidates of their shape once, on CUDA, and keep the fastest."""
    _state["on"] = on


def pin(kernel: str, config: Config | None) -> None:
    """Makes `kernel` run with one config whatever the shape; None lifts it. For tests."""
    _pinned.pop(kernel, None)
    if config is not None:
        _pinned[kernel] = config


def choose(
    kernel: str, q: torch.Tensor, k: torch.Tensor, launch: Callable[[Config], Any]
) -> Config:
    """The config for a call; with tuning on, `launch` is timed with each candidate once per shape.

    Args:
        kernel: one of configs.KERNELS.
        q: (B, Hq, Lq, D).
        k: (B, Hkv, Lk, D).
        launch: runs the kernel with a config; must have no effect but its output.
    """
    if kernel in _pinned:
        return _pinned[kernel]
    options = candidates(kernel, q.shape[-1], q.dtype)
    if not _state["on"] or len(options) == 1 or not q.is_cuda:
        return options[0]
    # Lengths count by their power of two: nothing is tuned anew because a length grew a little.
    buckets = q.shape[2].bit_length(), k.shape[2].bit_length()
    key = (kernel, q.dtype, q.shape[-1], q.shape[1] // k.shape[1], *buckets, q.device)
    if key not in _tuned:
        from triton.testing import do_bench

        times = [do_bench(lambda c=c: launch(c), warmup=5, rep=20) for c in options]
        _tuned[key] = options[times.index(min(times))]
    return _tuned[key]
