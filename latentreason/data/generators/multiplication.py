"""Multiplication in the format of iCoT (2405.14838): digits reversed, partial sums as steps."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from latentreason.data.example import Example
from latentreason.data.generators.base import Draft, Generator, GeneratorOptions, part_of
from latentreason.errors import UserError


@dataclass
class MultiplicationOptions(GeneratorOptions):
    """Options of "multiplication".

    Attributes:
        digits: digits of the first factor, 1 to 20; the first digit is not 0.
        digits_second: digits of the second factor; null takes `digits`.
    """

    digits: int = 4
    digits_second: int | None = None

    def __post_init__(self) -> None:
        for name in ("digits", "digits_second"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 20:
                raise UserError(
                    f'options of generator "multiplication": {name}: {value} is outside 1 to 20'
                )


def draw(rng: random.Random, options: MultiplicationOptions) -> Draft:
    """Draw two factors uniformly; a product and its commuted twin are in one part."""
    first = _number(rng, options.digits)
    second = _number(rng, options.digits_second or options.digits)
    content = f"{first}*{second}"
    part = part_of(repr(sorted((first, second))))
    return Draft(part, content, partial(multiplication_example, first, second))


def multiplication_example(first: int, second: int, example_id: str) -> Example:
    """Write a product; a step is the partial product of one digit and the running sum after it."""
    width, places = len(str(first)), len(str(second))
    total, steps = 0, []
    for place, digit in enumerate(reversed(str(second))):
        product = first * int(digit) * 10**place
        total += product
        step = _reversed(product, width + place + 1)
        if place > 0:
            step = f"+ {step}"
        # The first running sum would repeat the partial product, the last one the answer.
        if 0 < place < places - 1:
            step += f" ( {_reversed(total, width + place + 1)} )"
        steps.append(step)
    question = f"{_reversed(first, width)} * {_reversed(second, places)}"
    meta = {"id": example_id, "factors": [first, second]}
    return Example(question, tuple(steps), _reversed(total, width + places), meta)


def _number(rng: random.Random, digits: int) -> int:
    return rng.randrange(10 ** (digits - 1), 10**digits)


def _reversed(number: int, width: int) -> str:
    """Digits from the last to the first, blank-separated, zeros added up to `width`."""
    return " ".join(reversed(str(number).zfill(width)))


MULTIPLICATION = Generator(
    name="multiplication",
    summary="products of n-digit numbers with reversed digits and partial sums",
    options=MultiplicationOptions,
    draw=draw,
)
