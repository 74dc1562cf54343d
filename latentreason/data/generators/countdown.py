"""Countdown: reach a target from all given numbers, by the rules of stream of search (2404.03683).

Two numbers are replaced by their sum, product, non-negative difference or exact quotient until one
is left. The question is `n1,..,nk,target`, a step is `a-b=c`.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Literal

from latentreason.data.example import Example
from latentreason.data.generators.base import Draft, Generator, GeneratorOptions, part_of
from latentreason.errors import UserError

MAX_NUMBER = 99
TARGETS = range(10, 101)
# Kept for test: the targets of the test files that are in use, so that training never meets them.
TEST_TARGETS = {
    3: (22, 24, 25, 30, 32, 50, 65, 67, 96),
    4: (14, 39, 41, 57, 62, 81, 87, 89, 96),
    5: (43, 48, 51, 68, 73, 80, 92, 95, 98),
}


@dataclass
class CountdownOptions(GeneratorOptions):
    """Options of "countdown". Part "test" has targets of its own, nine of the 91 from 10 to 100.

    Attributes:
        numbers: how many numbers are given: 3, 4 or 5.
        answer: "path" asks for the whole chain of steps joined by commas, as the published files
            do; "target" for the number reached, which the question already holds.
    """

    numbers: int = 3
    answer: Literal["path", "target"] = "path"

    def __post_init__(self) -> None:
        if self.numbers not in TEST_TARGETS:
            raise UserError(
                f'options of generator "countdown": numbers: {self.numbers} has to be 3, 4 or 5'
            )


def draw(rng: random.Random, options: CountdownOptions) -> Draft:
    """Draw a target of the part, then numbers until the target can be reached with all of them."""
    held_out = TEST_TARGETS[options.numbers]
    is_test = options.part == "test"
    target = rng.choice([value for value in TARGETS if (value in held_out) == is_test])
    path = None
    while path is None:
        numbers = [rng.randint(1, MAX_NUMBER) for _ in range(options.numbers)]
        path = solve(numbers, target, rng)
    content = f"{sorted(numbers)} {target}"
    part = "test" if is_test else "valid" if part_of(content) == "valid" else "train"
    return Draft(part, content, partial(_write, options, numbers, target, path))


def solve(
    numbers: Sequence[int], target: int, rng: random.Random | None = None
) -> list[str] | None:
    """Return the steps of one solution that uses all numbers, or None where there is none.

    The search is exact. With `rng` its order is random, so that no kind of solution is preferred.
    """
    if len(numbers) == 1:
        return [] if numbers[0] == target else None
    moves = list(_moves(numbers))
    if rng is not None:
        rng.shuffle(moves)
    for step, left in moves:
        if len(left) > 1 or left[0] == target:
            rest = solve(left, target, rng)
            if rest is not None:
                return [step, *rest]
    return None


# No more digits than a chain can need: Python refuses to read numbers of thousands of them.
_STEP = re.compile(r"(\d{1,50})([-+*/])(\d{1,50})=(\d{1,50})")


def parse_chain(steps: Sequence[str]) -> list[tuple[int, str, int, int]] | None:
    """Return [(a, operator, b, result), ...] of steps "a-b=c", or None where one is no such step."""
    matches = [_STEP.fullmatch(step) for step in steps]
    chain = [(int(m[1]), m[2], int(m[3]), int(m[4])) for m in matches if m]
    return chain if len(chain) == len(steps) else None


def valid_chain(
    steps: Sequence[tuple[int, str, int, int]], numbers: Sequence[int], target: int
) -> bool:
    """Return whether a chain keeps the rules and ends with the target as the only number left.

    Args:
        steps: (a, operator, b, result) each.
        numbers: what is given.
        target: what is to be reached.
    """
    left = Counter(numbers)
    for first, sign, second, result in steps:
        if Counter((first, second)) - left:
            return False
        if not _exact(first, sign, second, result):
            return False
        left -= Counter((first, second))
        left[result] += 1
    return list(left.elements()) == [target]


def _exact(first: int, sign: str, second: int, result: int) -> bool:
    """Return whether one step is right in whole numbers that are not negative."""
    if sign == "+":
        return first + second == result
    if sign == "-":
        return first - second == result >= 0
    if sign == "*":
        return first * second == result
    return second != 0 and first == second * result


def _moves(numbers: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Yield every step from these numbers with the numbers that it leaves."""
    for one, two in combinations(range(len(numbers)), 2):
        others = [value for index, value in enumerate(numbers) if index not in (one, two)]
        low, high = sorted((numbers[one], numbers[two]))
        first, second = numbers[one], numbers[two]
        yield f"{first}+{second}={first + second}", [*others, first + second]
        yield f"{first}*{second}={first * second}", [*others, first * second]
        yield f"{high}-{low}={high - low}", [*others, high - low]
        if low != 0 and high % low == 0:
            yield f"{high}/{low}={high // low}", [*others, high // low]


def _write(
    options: CountdownOptions, numbers: list[int], target: int, path: list[str], example_id: str
) -> Example:
    answer = ",".join(path) if options.answer == "path" else str(target)
    meta = {"id": example_id, "numbers": numbers, "target": target}
    return Example(",".join(map(str, [*numbers, target])), tuple(path), answer, meta)


COUNTDOWN = Generator(
    name="countdown",
    summary="reach a target from 3 to 5 numbers with + - * /, all of them used",
    options=CountdownOptions,
    draw=draw,
)
