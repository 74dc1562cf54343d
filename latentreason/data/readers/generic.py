"""The generic reader: a JSON list or jsonl of objects with question, steps and answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.readers.base import Reader, list_field, text_field
from latentreason.data.rows import fail, json_rows


@dataclass
class JsonOptions:
    """Options of "json": the names of the fields.

    Attributes:
        question: field with the question.
        steps: field with the list of steps; null where the file has none.
        answer: field with the answer, text or a number.
        id: field with a unique id; null takes "id" where a row has one, else the row's number.
    """

    question: str = "question"
    steps: str | None = "steps"
    answer: str = "answer"
    id: str | None = None


def read_json(path: Path, options: JsonOptions) -> Iterator[Example]:
    """Yield the examples of a JSON file; fields that are not named go into `meta`."""
    for index, (line, row) in enumerate(json_rows(path)):
        yield row_example(path, line, row, index, options)


def row_example(
    path: Path, line: int, row: dict[str, Any], index: int, options: JsonOptions
) -> Example:
    """Make an example of one object.

    Blank steps are dropped: the published conversion of GSM8k-Aug writes one where there is none.

    Raises:
        DataError: a named field is missing or of another type, or the question is empty.
    """
    named = {options.question, options.steps, options.answer, options.id}
    meta = {name: value for name, value in row.items() if name not in named}
    id_field = options.id or ("id" if "id" in row else None)
    meta["id"] = text_field(path, line, row, id_field) if id_field else str(index)
    question = text_field(path, line, row, options.question)
    if not question.strip():
        fail(path, line, f'field "{options.question}" is empty')
    steps = list_field(path, line, row, options.steps, str) if options.steps else []
    steps = [step for step in steps if step.strip()]
    return Example(question, tuple(steps), text_field(path, line, row, options.answer), meta)


JSON = Reader(
    name="json",
    summary="JSON list or jsonl of objects with question, steps and answer; fields by option",
    options=JsonOptions,
    read=read_json,
)
