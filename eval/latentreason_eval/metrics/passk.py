"""pass@k and maj@k from the same n samples, unbiased: averaged over all subsets of size k; votes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import comb


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Return 1 - C(n - c, k) / C(n, k): the chance that a subset of size k holds a right answer.

    Chen et al. 2021 (Codex), eq. 1.

    Raises:
        ValueError: k is not in 1..n, or there are more right answers than answers.
    """
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@k needs 1 <= k <= n and 0 <= correct <= n; k={k} n={n} c={correct}")
    return 1.0 - comb(n - correct, k) / comb(n, k)


def vote(answers: Sequence[str | None], *, none_votes: bool = False) -> str | None:
    """Return the answer that most samples gave; of several, the one that was seen first.

    Args:
        answers: as keys, in the order of the samples; None is "no answer".
        none_votes: "no answer" stands for election as one voter at most (SoftCoT's code).
    """
    counts = Counter(answer for answer in answers if none_votes or answer is not None)
    if None in counts:
        counts[None] = 1
    # A counter keeps the order of first sight, and max the first of several.
    return max(counts, key=counts.__getitem__, default=None)


def majority_at_k(
    answers: Sequence[str | None],
    right: Mapping[str, bool],
    k: int,
    *,
    none_votes: bool = False,
) -> float:
    """Return the chance that the majority of a random subset of size k is right.

    Exact over all subsets. Of several answers with most votes each wins equally often, which is
    what "the first one seen" gives in random order. Subsets in which nobody votes are wrong.

    Args:
        answers: the n answers as keys; None is "no answer".
        right: which keys are right.
        k: voters.
        none_votes: "no answer" stands for election as one voter at most (SoftCoT's code).

    Raises:
        ValueError: k is not in 1..n.
    """
    n = len(answers)
    if not 1 <= k <= n:
        raise ValueError(f"maj@k needs 1 <= k <= n; k={k} n={n}")
    counts = Counter(answer for answer in answers if answer is not None)
    silent = n - counts.total()
    total = Fraction(0)
    for answer, count in counts.items():
        if not right.get(answer, False):
            continue
        others = [c for other, c in counts.items() if other != answer]
        for votes in range(1, min(count, k) + 1):
            ways = comb(count, votes)
            for rest, ties, number in _others(others, silent, votes, k - votes, none_votes):
                if rest == k - votes:
                    total += Fraction(ways * number, ties + 1)
    return float(total / comb(n, k))


def _others(
    counts: Sequence[int], silent: int, votes: int, size: int, none_votes: bool
) -> list[tuple[int, int, int]]:
    """Return (voters, ties, ways): how the other answers can be drawn with at most `votes` each.

    `ties` is how many of them reach exactly `votes`.
    """
    states: Counter[tuple[int, int]] = Counter({(0, 0): 1})
    for count in counts:
        following: Counter[tuple[int, int]] = Counter()
        for (voters, ties), ways in states.items():
            for drawn in range(min(count, votes, size - voters) + 1):
                key = (voters + drawn, ties + (drawn == votes))
                following[key] += ways * comb(count, drawn)
        states = following
    final: Counter[tuple[int, int]] = Counter()
    for (voters, ties), ways in states.items():
        for drawn in range(min(silent, size - voters) + 1):
            # However many gave no answer, together they are one voter; but the more they are, the
            # likelier one of them is seen first, and the first seen wins a tie.
            tied = drawn if none_votes and votes == 1 else 0
            final[voters + drawn, ties + tied] += ways * comb(silent, drawn)
    return [(voters, ties, ways) for (voters, ties), ways in final.items()]


def sample_sizes(n: int) -> list[int]:
    """Return the k that are reported for n samples: 1, 2, 5, 10, 20, 50 ... and n itself."""
    sizes = [k * 10**power for power in range(4) for k in (1, 2, 5) if k * 10**power < n]
    return [*sizes, n]
