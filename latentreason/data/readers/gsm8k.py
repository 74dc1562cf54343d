"""GSM8K as released (2110.14168): jsonl; the answer is the solution with a last line `#### n`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latentreason.data.example import Example
from latentreason.data.readers.base import Reader, text_field
from latentreason.data.rows import fail, json_rows

CALCULATION = re.compile(r"<<(.*?)>>")


@dataclass
class Gsm8kOptions:
    """Options of "gsm8k".

    Attributes:
        steps: "text" takes the solution's lines without their calculator annotations, "equations"
            takes the annotations alone, as `<<a+b=c>>`.
    """

    steps: Literal["text", "equations"] = "text"


def read_gsm8k(path: Path, options: Gsm8kOptions) -> Iterator[Example]:
    """Yield the examples; 95 solutions of the training file hold no equation, so no steps."""
    for index, (line, row) in enumerate(json_rows(path)):
        question = text_field(path, line, row, "question")
        solution, mark, answer = text_field(path, line, row, "answer").rpartition("####")
        if not mark or not answer.strip():
            fail(path, line, 'field "answer" does not end in "#### n"')
        if options.steps == "equations":
            steps = [f"<<{equation}>>" for equation in CALCULATION.findall(solution)]
        else:
            steps = [CALCULATION.sub("", text).strip() for text in solution.split("\n")]
        yield Example(
            question, tuple(step for step in steps if step), answer.strip(), {"id": str(index)}
        )


GSM8K = Reader(
    name="gsm8k",
    summary="official GSM8K jsonl; steps are the solution's lines or its equations",
    options=Gsm8kOptions,
    read=read_gsm8k,
)
