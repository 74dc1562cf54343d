"""Two runs on the same questions: McNemar's exact test and the paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Paired:
    """What two runs say about each other.

    Attributes:
        n: questions that both have scored.
        first, second: their accuracies on these.
        difference: second - first.
        ci_low, ci_high: 95 % paired bootstrap interval of the difference.
        only_first: questions that only the first answers rightly (of runs with one sample).
        only_second: the same of the second.
        p_value: McNemar's exact test; None for runs with several samples per question.
    """

    n: int
    first: float
    second: float
    difference: float
    ci_low: float
    ci_high: float
    only_first: int
    only_second: int
    p_value: float | None


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value: the discordant pairs are a fair coin under equality."""
    n = only_first + only_second
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)


def compare_shares(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0, repeats: int = 5000
) -> Paired:
    """Compare two runs by their share of right samples on each question, in the same order.

    Raises:
        ValueError: the lists differ in length or are empty.
    """
    import numpy as np

    if len(first) != len(second) or not first:
        raise ValueError(f"paired lists of {len(first)} and {len(second)} questions")
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    gaps = two - one
    rng = np.random.default_rng(seed)
    means = [gaps[rng.integers(0, len(gaps), len(gaps))].mean() for _ in range(repeats)]
    low, high = np.quantile(means, [0.025, 0.975])
    single = bool(np.isin(one, (0, 1)).all() and np.isin(two, (0, 1)).all())
    left, right = int(((one == 1) & (two == 0)).sum()), int(((one == 0) & (two == 1)).sum())
    return Paired(
        n=len(first),
        first=float(one.mean()),
        second=float(two.mean()),
        difference=float(gaps.mean()),
        ci_low=float(low),
        ci_high=float(high),
        only_first=left,
        only_second=right,
        p_value=mcnemar(left, right) if single else None,
    )
