"""The generic reader: a JSON list or jsonl of objects with question, steps and answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    """Yield the examples of a JSON file; fields that are not named go into `meta`.

    Blank steps are dropped: the published conversion of GSM8k-Aug writes one where there is none.
    """
    named = {options.question, options.steps, options.answer, options.id}
    for index, (line, row) in enumerate(json_rows(path)):
        steps = list_field(path, line, row, options.steps, str) if options.steps else []
        meta = {name: value for name, value in row.items() if name not in named}
        if options.id is not None:
            meta["id"] = text_field(path, line, row, options.id)
        elif "id" in row:
            meta["id"] = text_field(path, line, row, "id")
        else:
            meta["id"] = str(index)
        question = text_field(path, line, row, options.question)
        if not question.strip():
            fail(path, line, f'field "{options.question}" is empty')
        steps = [step for step in steps if step.strip()]
        yield Example(question, tuple(steps), text_field(path, line, row, options.answer), meta)


JSON = Reader(
    name="json",
    summary="JSON list or jsonl of objects with question, steps and answer; fields by option",
    options=JsonOptions,
    read=read_json,
)
