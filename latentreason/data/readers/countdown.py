"""Countdown: reach a target from a few numbers; golds from the file, else from an exact solver."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.generators.countdown import parse_chain, solve, valid_chain
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, text_field
from latentreason.data.rows import fail, json_rows


def read_countdown(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield Countdown questions "n1,..,nk,target"; the gold is a solver's chain of steps.

    Two schemas: d1's (`input` the numbers, `output` the target) and stream of search's (`input` the
    numbers and the target, `output` a chain, which has to keep the rules). A question without
    solution has an empty gold.
    """
    for index, (line, row) in enumerate(json_rows(path)):
        listed = text_field(path, line, row, "input").strip()
        output = text_field(path, line, row, "output").strip()
        question = listed if "=" in output else f"{listed},{output}"
        if not re.fullmatch(r"\d+(,\d+)+", question):
            fail(path, line, f'"{question}" is not of the form n1,..,nk,target')
        *numbers, target = (int(part) for part in question.split(","))
        if "=" in output:
            steps = [step.strip() for step in output.split(",")]
            chain = parse_chain(steps)
            if chain is None or not valid_chain(chain, numbers, target):
                fail(path, line, f'field "output": "{output}" does not reach {target} by the rules')
        else:
            steps = solve(numbers, target, random.Random(f"countdown:{question}")) or []
        meta = {"id": str(index), "numbers": numbers, "target": target}
        yield Example(question, tuple(steps), ",".join(steps), meta)


COUNTDOWN = Reader(
    name="countdown",
    summary="Countdown jsonl: numbers and target (d1, stream of search)",
    options=NoOptions,
    read=read_countdown,
)
