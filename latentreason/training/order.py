"""Which examples a rank sees when: a pure function of (seed, epoch, stage), so a resume is O(1)."""

from __future__ import annotations

import numpy as np

FILLER = -1
"""Index of a row that is computed and counts nothing."""


def permutation(seed: int, epoch: int, stage: int, size: int) -> np.ndarray:
    """The order of a data set of `size` examples in one epoch of one stage."""
    return np.random.default_rng([seed, epoch, stage]).permutation(size)


def layout_rng(seed: int, epoch: int, index: int, copy: int = 0) -> np.random.Generator:
    """Chance in the layout of one example in one epoch."""
    return np.random.default_rng([seed, epoch, index, copy, 1])


def micro_batches(
    order: np.ndarray, step: int, batch_size: int, micro: int, rank: int, world: int
) -> list[list[int]]:
    """One rank's micro-batches of one optimizer step.

    The examples of a step depend on `batch_size` only; ranks and micro-batches cut them up. Every rank
    gets equally many micro-batches of equal size; in a short last step fillers make up for what is
    missing.

    Args:
        order: the epoch's permutation.
        step: optimizer step in the epoch.
        batch_size: examples per step, a multiple of micro * world.
        micro: examples per micro-batch.
    """
    chosen = order[step * batch_size : (step + 1) * batch_size].tolist()
    chosen += [FILLER] * (batch_size - len(chosen))
    # Strided: with a short last step the fillers are spread over the ranks.
    own = chosen[rank::world]
    return [own[start : start + micro] for start in range(0, len(own), micro)]


def steps_per_epoch(size: int, batch_size: int) -> int:
    """Optimizer steps per epoch; the last may be short."""
    return -(-size // batch_size)
