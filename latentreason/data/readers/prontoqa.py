"""ProntoQA (2210.01240) in the JSON schema of 2412.06769, plain or packed as .json.gz."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader
from latentreason.data.readers.generic import JsonOptions, row_example
from latentreason.data.rows import fail, json_rows

ANSWERS = ("True", "False")


def read_prontoqa(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples; the answer has to be "True" or "False"."""
    for index, (line, row) in enumerate(json_rows(path)):
        example = row_example(path, line, row, index, JsonOptions())
        if example.answer not in ANSWERS:
            fail(path, line, f'field "answer": "{example.answer}" is neither "True" nor "False"')
        yield example


PRONTOQA = Reader(
    name="prontoqa",
    summary="ProntoQA JSON or .json.gz: rules and facts, steps, True or False",
    options=NoOptions,
    read=read_prontoqa,
)
