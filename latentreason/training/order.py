"""Which examples a rank sees when: a pure function of (seed, epoch, stage), so a resume is O(1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentreason.config import TrainConfig
from latentreason.data.example import Example

FILLER = -1
"""Index of a row that is computed and counts nothing."""


def permutation(seed: int, epoch: int, stage: int, size: int) -> np.ndarray:
    """The order of a data set of `size` examples in one epoch of one stage."""
    return np.random.default_rng([seed, epoch, stage]).permutation(size)


def by_length(
    order: np.ndarray, lengths: np.ndarray, batch_size: int, window: int, rng: np.random.Generator
) -> np.ndarray:
    """The same examples in batches of similar length.

    Args:
        order: the epoch's permutation.
        lengths: length of each example of the data set.
        batch_size: examples per optimizer step.
        window: steps whose examples are sorted together.
        rng: shuffles the batches of a window; a short last batch stays last.
    """
    parts: list[np.ndarray] = []
    for start in range(0, len(order), window * batch_size):
        chosen = order[start : start + window * batch_size]
        chosen = chosen[np.argsort(lengths[chosen], kind="stable")]
        full = len(chosen) // batch_size
        batches = chosen[: full * batch_size].reshape(full, batch_size)
        parts += [batches[rng.permutation(full)].ravel(), chosen[full * batch_size :]]
    return np.concatenate(parts)


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


class Order:
    """The order of a train split in every epoch, by length where the recipe asks for it."""

    def __init__(self, examples: Sequence[Example], seed: int, train: TrainConfig) -> None:
        self.size, self.seed = len(examples), seed
        self.batch_size, self.window = train.batch_size, train.length_window
        self.lengths = np.array(
            [len(e.question) + sum(map(len, e.steps)) + len(e.answer) for e in examples]
        )

    def of_epoch(self, epoch: int, stage: int) -> np.ndarray:
        """Indices of the examples; a pure function of (seed, epoch, stage)."""
        order = permutation(self.seed, epoch, stage, self.size)
        if self.window is None:
            return order
        rng = np.random.default_rng([self.seed, epoch, stage, 2])
        return by_length(order, self.lengths, self.batch_size, self.window, rng)
