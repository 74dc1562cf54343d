"""AQuA-RAT as released (1705.04146): json lines of question, options, rationale, correct."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, list_field, text_field
from latentreason.data.rows import fail, json_rows


def with_options(question: str, options: Sequence[str]) -> str:
    """Return the question with its options below it, one a line, as "(A) words"."""
    listed = "\n".join(
        f"({letter}) {words}" for letter, words in zip(ascii_uppercase, options, strict=False)
    )
    return f"{question}\nOptions:\n{listed}"


def read_aqua(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples; the rationale's lines are the steps, the answer is the bare letter."""
    for index, (line, row) in enumerate(json_rows(path)):
        question = text_field(path, line, row, "question").strip()
        listed = list_field(path, line, row, "options", str)
        words = [re.sub(r"^[A-Z]\)\s*", "", option).strip() for option in listed]
        answer = text_field(path, line, row, "correct").strip()
        if answer not in tuple(ascii_uppercase[: len(words)]):
            fail(path, line, f'field "correct": "{answer}" is none of the {len(words)} options')
        steps = [part.strip() for part in str(row.get("rationale", "")).split("\n") if part.strip()]
        meta = {"id": str(index), "options": words}
        yield Example(with_options(question, words), tuple(steps), answer, meta)


AQUA = Reader(
    name="aqua",
    summary="AQuA-RAT json lines: question, options, correct; steps are the rationale's lines",
    options=NoOptions,
    read=read_aqua,
)
