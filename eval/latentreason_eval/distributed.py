"""Data parallelism under torchrun: who does which questions, and waiting for one another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def rank_and_size() -> tuple[int, int]:
    """Return this process's rank and the number of processes, as torchrun says."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def share(items: Sequence[Item], rank: int, size: int) -> list[Item]:
    """Return every `size`-th item: of a length-sorted list, so that ranks have equal work."""
    return list(items[rank::size])


def start() -> None:
    """Join the process group where there is one to join and nobody has yet."""
    if rank_and_size()[1] > 1:
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo")


def barrier() -> None:
    """Wait for all ranks; returns at once where there is only one."""
    if rank_and_size()[1] > 1:
        import torch.distributed as dist

        dist.barrier()
