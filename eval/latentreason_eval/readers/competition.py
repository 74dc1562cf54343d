"""Mathematics whose answers are formulas: DeepMind, Gaokao, OlympiadBench, TheoremQA."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, list_field, text_field
from latentreason.data.rows import fail, json_rows
from latentreason_eval.extraction.kinds import is_prose


@dataclass
class QuestionAnswerOptions:
    """Options of "question_answer".

    Attributes:
        id: field with a unique id; null takes the row's number.
    """

    id: str | None = None


def read_question_answer(path: Path, options: QuestionAnswerOptions) -> Iterator[Example]:
    """Yield rows of `question` and `answer`, a number, a formula or an option letter."""
    for index, (line, row) in enumerate(json_rows(path)):
        answer = text_field(path, line, row, "answer").strip()
        identity = text_field(path, line, row, options.id) if options.id else str(index)
        meta: dict[str, Any] = {"id": identity, **_answer_type(answer)}
        yield Example(text_field(path, line, row, "question").strip(), (), answer, meta)


def read_olympiadbench(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield OlympiadBench's open questions; several final answers count in any order."""
    for index, (line, row) in enumerate(json_rows(path)):
        golds = list_field(path, line, row, "final_answer", str)
        if not golds:
            fail(path, line, 'field "final_answer" is empty')
        context = f"{row['context']}\n" if row.get("context") else ""
        gold = ", ".join(golds)
        meta: dict[str, Any] = {"id": str(row.get("id", index)), **_answer_type(gold)}
        if row.get("error"):
            # The data set gives an absolute error for its few rounded golds, "1e-1".
            meta["tolerance"] = float(row["error"])
        question = context + text_field(path, line, row, "question").strip()
        yield Example(question, (), gold, meta)


def _answer_type(gold: str) -> dict[str, str]:
    """What kind of answer the gold one is, where it is no formula."""
    if re.fullmatch(r"[A-K]", gold):
        return {"answer_type": "option"}
    return {"answer_type": "words"} if is_prose(gold) else {}


_THEOREMQA_TYPES = {"bool": "bool", "option": "option"}


def read_theoremqa(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield TheoremQA; 53 questions of the official file need a picture that a text model lacks."""
    for index, (line, row) in enumerate(json_rows(path)):
        if "Answer" not in row:
            fail(path, line, f'no field "Answer"; the row has: {", ".join(row)}')
        kind, answer = str(row.get("Answer_type", "")), row["Answer"]
        meta: dict[str, Any] = {"id": str(row.get("id", index)), "picture": row.get("Picture")}
        if kind in _THEOREMQA_TYPES:
            meta["answer_type"] = _THEOREMQA_TYPES[kind]
        if "float" in kind:
            # TheoremQA's own scorer accepts 4 % around a float.
            meta["relative_tolerance"] = 0.04
        if "list" in kind:
            meta["ordered"] = True
        gold = str(answer).strip("()").upper() if kind == "option" else str(answer)
        yield Example(text_field(path, line, row, "Question").strip(), (), gold, meta)


QUESTION_ANSWER = Reader(
    "question_answer",
    "JSON or jsonl of question and answer (DeepMind, Gaokao)",
    QuestionAnswerOptions,
    read_question_answer,
)
OLYMPIADBENCH = Reader(
    "olympiadbench", "OlympiadBench JSON: question, final_answer", NoOptions, read_olympiadbench
)
THEOREMQA = Reader(
    "theoremqa", "TheoremQA JSON: Question, Answer, Answer_type", NoOptions, read_theoremqa
)
