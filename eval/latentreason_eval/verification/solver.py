"""Solver for number games: an expression of all given numbers that has the wanted value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction


def expression_for(numbers: Sequence[int], target: int) -> str | None:
    """Return an expression in which each number occurs once and whose value is `target`, or None.

    Exact, fractions allowed: 8/(3-8/3) solves 3 3 8 8. All pairs are tried; four numbers take
    milliseconds.
    """
    return _search([(Fraction(n), str(n)) for n in numbers], Fraction(target))


def _search(terms: list[tuple[Fraction, str]], target: Fraction) -> str | None:
    if len(terms) == 1:
        value, text = terms[0]
        return _without_outer(text) if value == target else None
    seen: set[tuple[Fraction, Fraction]] = set()
    for i in range(len(terms)):
        for j in range(len(terms)):
            pair = (terms[i][0], terms[j][0])
            if i == j or pair in seen:
                continue
            seen.add(pair)
            rest = [term for k, term in enumerate(terms) if k not in (i, j)]
            for combined in _combine(terms[i], terms[j]):
                found = _search([*rest, combined], target)
                if found is not None:
                    return found
    return None


def _combine(
    left: tuple[Fraction, str], right: tuple[Fraction, str]
) -> Iterator[tuple[Fraction, str]]:
    (a, first), (b, second) = left, right
    # Sums and products are tried in one order only.
    if a >= b:
        yield a + b, f"({first}+{second})"
        yield a * b, f"({first}*{second})"
    yield a - b, f"({first}-{second})"
    if b:
        yield a / b, f"({first}/{second})"


def _without_outer(text: str) -> str:
    return text[1:-1] if text.startswith("(") else text
