"""Multiplication as in iCoT (2405.14838): reversed digits, `a * b||partial sums #### product`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader
from latentreason.data.rows import fail, text_lines

LINE = re.compile(r"(\d(?: \d)* \* \d(?: \d)*)\|\|([\d+() ]+) #### (\d(?: \d)*)")


def read_multiplication(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples; a step is one partial product with the running sum that follows it."""
    for index, (line, text) in enumerate(text_lines(path)):
        match = LINE.fullmatch(text.strip())
        if match is None:
            fail(path, line, 'expected "a * b||partial sums #### product" in single digits')
        question, chain, answer = match.groups()
        yield Example(question, split_steps(chain), answer, {"id": str(index)})


def split_steps(chain: str) -> tuple[str, ...]:
    """Cut a chain of partial sums before every plus sign."""
    return tuple(re.split(r" (?=\+)", chain))


MULTIPLICATION = Reader(
    name="multiplication",
    summary="iCoT multiplication text: reversed digits, a * b||partial sums #### product",
    options=NoOptions,
    read=read_multiplication,
)
