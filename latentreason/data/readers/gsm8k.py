"""GSM8K as released (2110.14168): jsonl; the answer is the solution with a last line `#### n`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, text_field
from latentreason.data.readers.gsm8k_aug import read_gsm8k_aug
from latentreason.data.rows import fail, json_rows
from latentreason.errors import UserError

CALCULATION = re.compile(r"<<(.*?)>>")


@dataclass
class Gsm8kOptions:
    """Options of "gsm8k".

    Attributes:
        steps: "text" takes the solution's lines without their calculator annotations, "equations"
            takes the annotations alone, as `<<a+b=c>>`.
        exclude: a GSM8k-Aug file whose questions are left out, looked for like the file itself: the
            usual 500 validation questions (gsm8k_icot/valid.txt) are part of the training file.
    """

    steps: Literal["text", "equations"] = "text"
    exclude: str | None = None


def read_gsm8k(path: Path, options: Gsm8kOptions) -> Iterator[Example]:
    """Yield the examples; 95 solutions of the training file hold no equation, so no steps."""
    excluded, left_out = _excluded(options.exclude), 0
    for index, (line, row) in enumerate(json_rows(path)):
        question = text_field(path, line, row, "question")
        if _letters(question) in excluded:
            left_out += 1
            continue
        solution, mark, answer = text_field(path, line, row, "answer").rpartition("####")
        if not question.strip():
            fail(path, line, 'field "question" is empty')
        if not mark or not answer.strip() or "\n" in answer.strip():
            fail(path, line, 'field "answer" does not end in "#### n"')
        if options.steps == "equations":
            steps = [f"<<{equation}>>" for equation in CALCULATION.findall(solution)]
        else:
            steps = [CALCULATION.sub("", text).strip() for text in solution.split("\n")]
        yield Example(
            question, tuple(step for step in steps if step), answer.strip(), {"id": str(index)}
        )
    if options.exclude is not None and not left_out:
        raise UserError(f"{path}: holds no question of exclude: {options.exclude}; leave it out")


def _excluded(file: str | None) -> set[str]:
    if file is None:
        return set()
    return {_letters(example.question) for example in read_gsm8k_aug(Path(file), NoOptions())}


def _letters(question: str) -> str:
    """What two files of the same question agree on: blanks and quotes are written differently."""
    return "".join(character for character in question.lower() if character.isalnum())


GSM8K = Reader(
    name="gsm8k",
    summary="official GSM8K jsonl; steps are the solution's lines or its equations",
    options=Gsm8kOptions,
    read=read_gsm8k,
    files=("exclude",),
)
