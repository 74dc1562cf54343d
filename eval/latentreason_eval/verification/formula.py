"""Formulas: equal as text, as numbers, part by part, or by math-verify (sympy)."""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from typing import Any

from latentreason_eval.extraction.numbers import find_numbers, to_fraction
from latentreason_eval.verification.base import same_words
from latentreason_eval.verification.latex import inside, normal, parts

MAX_UNORDERED = 6


@dataclass(frozen=True)
class FormulaVerifier:
    """Compares mathematics.

    `meta["answer_type"]` "option", "bool" or "words" compares words; `meta["tolerance"]` and
    `meta["relative_tolerance"]` widen the comparison of numbers where a data set says so;
    `meta["ordered"]` says that the order of several parts counts.
    """

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`."""
        if meta.get("answer_type") in ("option", "bool"):
            return same_words(answer) == same_words(gold)
        if normal(answer) == normal(gold):
            return True
        if meta.get("answer_type") == "words":
            return same_words(normal(answer)) == same_words(normal(gold))
        mine, theirs = parts(answer), parts(gold)
        tolerances = (
            float(meta.get("tolerance", 0)),
            float(meta.get("relative_tolerance", 0)),
        )
        return _same_parts(mine, theirs, bool(meta.get("ordered")), tolerances)

    def key(self, answer: str) -> str:
        """See `Verifier`; numbers have one spelling, formulas that of `latex.normal`."""
        number = _number(normal(answer))
        return normal(answer) if number is None else str(number)


Tolerances = tuple[float, float]


def _same_parts(
    mine: Sequence[str], theirs: Sequence[str], ordered: bool, tolerances: Tolerances
) -> bool:
    """Whether two lists of parts match one to one: in order, or in any order if they are few."""
    if len(mine) != len(theirs) or not theirs:
        return False
    if all(_same(a, b, tolerances) for a, b in zip(mine, theirs, strict=True)):
        return True
    if ordered or len(theirs) == 1 or len(theirs) > MAX_UNORDERED:
        return False
    return any(
        all(_same(a, b, tolerances) for a, b in zip(order, theirs, strict=True))
        for order in permutations(mine)
    )


def _same(mine: str, theirs: str, tolerances: Tolerances) -> bool:
    if mine == theirs:
        return True
    first, second = _number(mine), _number(theirs)
    if first is not None and second is not None:
        return _close(first, second, tolerances)
    ours, gold = inside(mine), inside(theirs)
    if ours and gold:
        if (ours[0], ours[2]) != (gold[0], gold[2]):
            return False
        is_set = gold[0] == "{" and "|" not in gold[1]
        pieces, wanted = parts(ours[1]), parts(gold[1])
        if len(pieces) > 1 or len(wanted) > 1:
            return _same_parts(pieces, wanted, not is_set, tolerances)
    return _verified(mine, theirs)


def _number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else ("x = 5" counts as 5)."""
    text = re.sub(r"^[a-zA-Z]=", "", text)
    numbers = find_numbers(text)
    if len(numbers) != 1 or re.search(
        r"[a-zA-Z^_*|{}()\\[\]]", re.sub(r"\\frac|[{}]|\d[eE][-+]?\d", "", text)
    ):
        return None
    try:
        return to_fraction(numbers[0])
    except ValueError:
        return None


def _close(first: Fraction, second: Fraction, tolerances: Tolerances) -> bool:
    absolute, relative = tolerances
    return abs(first - second) <= max(Fraction(absolute), Fraction(relative) * abs(second))


@functools.lru_cache(maxsize=4096)
def _verified(mine: str, theirs: str) -> bool:
    """What math-verify says of two single formulas."""
    if max(len(mine), len(theirs)) > 300:
        return False
    try:
        from math_verify import parse, verify
    except ImportError as error:
        raise ImportError(
            'math-verify is needed to compare formulas: pip install "latentreason[eval]"'
        ) from error

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    # math-verify stops long computations by a signal, which only the main thread can set.
    main = threading.current_thread() is threading.main_thread()
    seconds = 5 if main else None
    gold = parse(f"${theirs}$", parsing_timeout=seconds)
    answer = parse(f"${mine}$", parsing_timeout=seconds)
    return bool(verify(gold, answer, timeout_seconds=seconds))
