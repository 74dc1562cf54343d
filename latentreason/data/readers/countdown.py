"""Countdown: reach a target from a few numbers; golds from an exact solver."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.generators.countdown import solve
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, text_field
from latentreason.data.rows import fail, json_rows


def read_countdown(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield Countdown questions "n1,..,nk,target"; the gold is a solver's chain of steps.

    Two schemas: d1's (`input` the numbers, `output` the target) and stream of search's (`input` the
    numbers and the target, `output` a chain). A question without solution has an empty gold.
    """
    for index, (line, row) in enumerate(json_rows(path)):
        listed = text_field(path, line, row, "input").strip()
        output = text_field(path, line, row, "output").strip()
        question = listed if "=" in output else f"{listed},{output}"
        if not re.fullmatch(r"\d+(,\d+)+", question):
            fail(path, line, f'"{question}" is not of the form n1,..,nk,target')
        *numbers, target = (int(part) for part in question.split(","))
        path_found = solve(numbers, target, random.Random(f"countdown:{question}"))
        meta = {"id": str(index), "numbers": numbers, "target": target}
        yield Example(question, tuple(path_found or ()), ",".join(path_found or ()), meta)


COUNTDOWN = Reader(
    name="countdown",
    summary="Countdown jsonl: numbers and target (d1, stream of search)",
    options=NoOptions,
    read=read_countdown,
)
