"""StrategyQA as released (2101.02235): a JSON list of question, answer (true or false), facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latentreason.data.example import Example
from latentreason.data.readers.base import Reader, list_field, text_field
from latentreason.data.rows import fail, json_rows

TRAIN_SHARE = 0.8


@dataclass
class StrategyQaOptions:
    """Options of "strategyqa".

    Attributes:
        part: "all" reads the file; "first80" its first 80 %, "last20" the rest, as SoftCoT's code
            cuts a file of all 2,290 questions (1,832 and 458).
    """

    part: Literal["all", "first80", "last20"] = "all"


def read_strategyqa(path: Path, options: StrategyQaOptions) -> Iterator[Example]:
    """Yield the examples; the facts are the steps, the answer is "yes" or "no"."""
    rows = list(json_rows(path))
    cut = int(TRAIN_SHARE * len(rows))
    wanted = {
        "all": range(len(rows)),
        "first80": range(cut),
        "last20": range(cut, len(rows)),
    }[options.part]
    for index in wanted:
        line, row = rows[index]
        answer = row.get("answer")
        if not isinstance(answer, bool):
            fail(path, line, f'field "answer": {answer!r} has to be true or false')
        steps = list_field(path, line, row, "facts", str) if "facts" in row else []
        meta = {"id": str(row.get("qid", index))}
        question = text_field(path, line, row, "question").strip()
        yield Example(question, tuple(steps), "yes" if answer else "no", meta)


STRATEGYQA = Reader(
    name="strategyqa",
    summary="StrategyQA JSON: question, answer true or false; steps are the facts",
    options=StrategyQaOptions,
    read=read_strategyqa,
)
