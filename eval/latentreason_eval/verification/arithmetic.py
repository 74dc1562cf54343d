"""Countdown and Game of 24: any valid way counts; arithmetic, number use and target are checked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from latentreason.data.generators.countdown import valid_chain
from latentreason_eval.verification.expression import (
    ExpressionError,
    canonical,
    evaluate,
    parse_steps,
)


@dataclass(frozen=True)
class ReachVerifier:
    """Reach `meta["target"]` from `meta["numbers"]`, every number used exactly once.

    An answer is either a chain "a-b=c,c*d=e" (stream of search's rules: whole numbers, no negative
    difference, division without remainder, operands taken from what is left) or one expression
    (exact fractions).
    """

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`; the gold answer is one solution of many and is not looked at."""
        numbers, target = [int(n) for n in meta["numbers"]], int(meta["target"])
        steps = parse_steps(answer)
        if steps is not None and valid_chain(steps, numbers, target):
            return True
        return valid_expression(answer, numbers, target)

    def key(self, answer: str) -> str:
        """Return the same for chains and expressions that build the same tree."""
        steps = parse_steps(answer)
        return canonical(chain_expression(steps) if steps else left_side(answer))


def valid_expression(answer: str, numbers: list[int], target: int) -> bool:
    """Return whether one expression uses the numbers, each once, and has the target's value."""
    try:
        value, used = evaluate(left_side(answer))
    except ExpressionError:
        return False
    return value == Fraction(target) and used == Counter(numbers)


def left_side(answer: str) -> str:
    """Return the expression of "expression = 24" or "24 = expression"."""
    sides = answer.strip().rstrip(".").split("=")
    return next((side for side in sides if re.search(r"[-+*/×÷]", side)), sides[0])


def chain_expression(steps: list[tuple[int, str, int, int]]) -> str:
    """Return the expression that a chain builds; numbers that nobody made are leaves."""
    made: list[tuple[int, str]] = []
    text = ""
    for first, sign, second, result in steps:
        sides = []
        for operand in (first, second):
            hit = next((pair for pair in made if pair[0] == operand), None)
            if hit is not None:
                made.remove(hit)
            sides.append(hit[1] if hit else str(operand))
        text = f"({sides[0]}{sign}{sides[1]})"
        made.append((result, text))
    return text
