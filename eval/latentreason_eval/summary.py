"""From records to the one row that stands for an evaluation: accuracy, interval, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentreason_eval.metrics.intervals import bootstrap, wilson
from latentreason_eval.record import EvalRecord


def summarise(records: Sequence[EvalRecord], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one condition.

    With one sample per question the interval is Wilson's; with several, samples of a question are
    not independent, and the interval is the bootstrap over questions.

    Returns:
        A flat dict: the settings, `n` (questions scored), `samples`, `errors`, `accuracy`,
        `ci_low`, `ci_high`, and means per sample: `prompt_tokens`, `tokens` (visible), `thoughts`,
        `steps`; `no_answer` is the share of outputs from which nothing could be extracted.
    """
    scored = [record for record in records if record.correct is not None]
    by_question: dict[int, list[EvalRecord]] = {}
    for record in scored:
        by_question.setdefault(record.index, []).append(record)
    shares = [
        sum(bool(r.correct) for r in samples) / len(samples) for samples in by_question.values()
    ]
    accuracy = sum(shares) / len(shares) if shares else 0.0
    if all(len(samples) == 1 for samples in by_question.values()):
        low, high = wilson(round(sum(shares)), len(shares))
    else:
        low, high = bootstrap(shares)
    return {
        **settings,
        "n": len(shares),
        "samples": len(scored),
        "errors": len(records) - len(scored),
        "accuracy": accuracy,
        "ci_low": low,
        "ci_high": high,
        "no_answer": mean([record.answer is None for record in scored]),
        "truncated": mean([record.finish_reason == "length" for record in scored]),
        "prompt_tokens": mean([record.prompt_tokens for record in scored]),
        "tokens": mean([record.num_tokens for record in scored]),
        "thoughts": mean([record.num_thoughts for record in scored]),
        "steps": mean([record.num_steps for record in scored]),
    }


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
