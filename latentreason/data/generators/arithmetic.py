"""Chains of small sums, differences and products, one operation per step."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial

from latentreason.data.example import Example
from latentreason.data.generators.base import Draft, Generator, GeneratorOptions, part_of
from latentreason.errors import UserError, check_choice

OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}


@dataclass
class ArithmeticOptions(GeneratorOptions):
    """Options of "arithmetic".

    Attributes:
        lengths: numbers of operations to draw from, each 1 to 50.
        operations: any of "+", "-", "*".
        max_operand: operands are 1..max_operand.
        max_value: no result is larger than this or below 0; not used with a modulus.
        modulus: every result is taken modulo this; null computes with plain numbers.
    """

    lengths: list[int] = field(default_factory=lambda: [3])
    operations: list[str] = field(default_factory=lambda: ["+", "-", "*"])
    max_operand: int = 9
    max_value: int = 999
    modulus: int | None = None

    def __post_init__(self) -> None:
        owner = 'options of generator "arithmetic"'
        if not self.lengths or not all(1 <= length <= 50 for length in self.lengths):
            raise UserError(f"{owner}: lengths: {self.lengths} has to list numbers from 1 to 50")
        if not self.operations:
            raise UserError(f"{owner}: operations: the list is empty")
        for operation in self.operations:
            check_choice(f"{owner}: operations", operation, OPERATIONS)
        if self.max_operand < 1:
            raise UserError(f"{owner}: max_operand: {self.max_operand} has to be at least 1")
        if self.modulus is None and self.max_value < self.max_operand:
            raise UserError(
                f"{owner}: max_operand: {self.max_operand} is more than max_value {self.max_value}"
            )
        if self.modulus is not None and self.max_value != type(self).max_value:
            raise UserError(
                f"{owner}: max_value: {self.max_value} would be ignored, since modulus is given"
            )
        if self.modulus is not None and self.modulus < 2:
            raise UserError(f"{owner}: modulus: {self.modulus} has to be at least 2, or null")


# Enough that a chain is given up only where hardly any operation keeps its value in range.
_TRIES = 100


def draw(rng: random.Random, options: ArithmeticOptions) -> Draft | None:
    """Draw a chain; None where no operation keeps a result within 0..max_value.

    Operations are drawn again, not chains: else long chains would be rarer than asked for.
    """
    value = rng.randint(1, options.max_operand)
    question, steps = str(value), []
    for number in range(rng.choice(options.lengths)):
        drawn = _operation(rng, options, value)
        if drawn is None:
            return None
        sign, operand, result = drawn
        steps.append(f"{value} {sign} {operand} = {result}")
        question = f"{f'( {question} )' if number else question} {sign} {operand}"
        value = result
    if options.modulus is not None:
        question = f"( {question} ) mod {options.modulus}"
    return Draft(part_of(question), question, partial(_write, question, steps, value))


def _operation(
    rng: random.Random, options: ArithmeticOptions, value: int
) -> tuple[str, int, int] | None:
    """An operation, its operand and what it makes of `value`."""
    for _ in range(_TRIES):
        sign, operand = rng.choice(options.operations), rng.randint(1, options.max_operand)
        result = OPERATIONS[sign](value, operand)
        if options.modulus is not None:
            return sign, operand, result % options.modulus
        if 0 <= result <= options.max_value:
            return sign, operand, result
    return None


def _write(question: str, steps: list[str], value: int, example_id: str) -> Example:
    return Example(question, tuple(steps), str(value), {"id": example_id})


ARITHMETIC = Generator(
    name="arithmetic",
    summary="nested sums, differences and products, one operation per step, plain or modular",
    options=ArithmeticOptions,
    draw=draw,
)
