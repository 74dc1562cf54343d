"""One line of records.jsonl: one sample with everything that is needed to score it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.errors import DataError
from latentreason_eval.rules import AnswerRule
from latentreason_eval.sample import Sample


@dataclass
class EvalRecord:
    """One sample and its verdict.

    Attributes:
        id: id of the question within its split.
        index: its row in the split.
        sample: which of the question's samples.
        question: its text.
        gold: the gold answer.
        meta: what the verifier needs besides.
        text: the output.
        answer: what was extracted; None where the output gives no answer.
        key: one spelling for equal answers, for votes and distinct counts.
        correct: the verdict; None where there was an error.
        error: why there is no output.
        prompt_tokens, num_tokens, num_thoughts, num_steps, finish_reason, seconds: see `Sample`.
    """

    id: str
    index: int
    sample: int
    question: str
    gold: str
    text: str
    answer: str | None
    key: str | None
    correct: bool | None
    error: str | None = None
    prompt_tokens: int = 0
    num_tokens: int = 0
    num_thoughts: int = 0
    num_steps: int = 0
    finish_reason: str = "stop"
    seconds: float = 0.0
    meta: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def judge(
    example: Example, sample: Sample, rule: AnswerRule, keep: Sequence[str] = ()
) -> EvalRecord:
    """Return the record of a sample: extracted, verified, with what a later judge needs."""
    record = EvalRecord(
        id=example.meta["id"],
        index=sample.index,
        sample=sample.sample,
        question=example.question,
        gold=example.answer,
        text=sample.text,
        answer=None,
        key=None,
        correct=None,
        error=sample.error,
        prompt_tokens=sample.prompt_tokens,
        num_tokens=sample.num_tokens,
        num_thoughts=sample.num_thoughts,
        num_steps=sample.num_steps,
        finish_reason=sample.finish_reason,
        seconds=sample.seconds,
        meta={name: example.meta[name] for name in keep if name in example.meta},
    )
    return rejudge(record, rule)


def rejudge(record: EvalRecord, rule: AnswerRule) -> EvalRecord:
    """Set answer and verdict by `rule`; records of errors stay without either."""
    if record.error is None:
        verdict = rule.judge(record.text, record.gold, record.meta)
        record.answer, record.key, record.correct = verdict.answer, verdict.key, verdict.correct
    return record


def read_records(path: Path, *, torn_tail: bool = False) -> Iterator[EvalRecord]:
    """Yield the records of a file.

    Args:
        path: a records file.
        torn_tail: accept that the last line is cut off, as a killed run leaves it.

    Raises:
        DataError: a line is not a record; the message names file and line.
    """
    names = {item.name for item in fields(EvalRecord)}
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            yield EvalRecord(**{name: values[name] for name in names if name in values})
        except (json.JSONDecodeError, TypeError) as error:
            if torn_tail and number == len(lines):
                return
            raise DataError(f"{path}:{number}: not a record of an evaluation: {error}") from error
