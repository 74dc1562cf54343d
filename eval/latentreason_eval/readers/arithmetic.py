"""Word problems with one number as answer: SVAMP; PAL's files (MAWPS, MultiArith, GSM-Hard)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, text_field
from latentreason.data.rows import fail, json_rows
from latentreason_eval.extraction.numbers import to_fraction


def read_svamp(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield SVAMP's examples; body and question are joined as its authors do."""
    for index, (line, row) in enumerate(json_rows(path)):
        body = text_field(path, line, row, "Body").strip()
        question = text_field(path, line, row, "Question").strip()
        if body and body[-1] not in ".?!,":
            body += "."
        identity = str(row.get("ID", index))
        meta = {"id": identity, "equation": row.get("Equation"), "type": row.get("Type")}
        yield Example(f"{body} {question}".strip(), (), gold(path, line, row, "Answer"), meta)


def read_input_target(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples of a PAL file: jsonl of `input` and a numeric `target`."""
    for index, (line, row) in enumerate(json_rows(path)):
        question = text_field(path, line, row, "input").strip()
        yield Example(question, (), gold(path, line, row, "target"), {"id": str(index)})


def gold(path: Path, line: int, row: dict[str, object], name: str) -> str:
    """Return a numeric field as text: 43.0 is written "43", as a model would."""
    value = text_field(path, line, row, name).strip()
    try:
        number = to_fraction(value)
    except ValueError:
        fail(path, line, f'field "{name}": "{value}" is not a number')
    return str(number.numerator) if number.denominator == 1 else value


SVAMP = Reader("svamp", "SVAMP JSON: Body, Question, Answer", NoOptions, read_svamp)
INPUT_TARGET = Reader(
    "input_target", "jsonl of input and a numeric target (PAL)", NoOptions, read_input_target
)
