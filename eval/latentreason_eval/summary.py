"""From records to the one row that stands for an evaluation: accuracy, interval, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentreason_eval.metrics.intervals import bootstrap, wilson
from latentreason_eval.metrics.passk import majority_at_k, pass_at_k, sample_sizes
from latentreason_eval.record import EvalRecord


def summarise(
    records: Sequence[EvalRecord], settings: Mapping[str, Any], *, none_votes: bool = False
) -> dict[str, Any]:
    """Return the figures of one condition.

    With one sample per question the interval is Wilson's; with several, samples of a question are
    not independent, and the interval is the bootstrap over questions.

    Returns:
        A flat dict: the settings, `n` (questions scored), `samples`, `errors`, `accuracy`,
        `ci_low`, `ci_high`, and means per sample: `prompt_tokens`, `tokens` (visible), `thoughts`,
        `steps`; `no_answer` is the share of outputs from which nothing could be extracted. With
        several samples also `pass_at_k`, `majority_at_k` (by k) and `distinct`, the mean number of
        different right answers per question.
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
    row = {
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
    if max(map(len, by_question.values()), default=1) > 1:
        row |= _over_samples(list(by_question.values()), none_votes)
    return row


def _over_samples(questions: Sequence[Sequence[EvalRecord]], none_votes: bool) -> dict[str, Any]:
    """pass@k, maj@k and distinct right answers; k goes up to the smallest number of samples."""
    passes: dict[str, float] = {}
    votes: dict[str, float] = {}
    for k in sample_sizes(min(len(samples) for samples in questions)):
        passes[str(k)] = mean(
            [pass_at_k(len(s), sum(bool(r.correct) for r in s), k) for s in questions]
        )
        votes[str(k)] = mean([_majority(samples, k, none_votes) for samples in questions])
    distinct = [len({r.key for r in samples if r.correct}) for samples in questions]
    return {"pass_at_k": passes, "majority_at_k": votes, "distinct": mean(distinct)}


def _majority(samples: Sequence[EvalRecord], k: int, none_votes: bool) -> float:
    right = {r.key: bool(r.correct) for r in samples if r.key is not None}
    return majority_at_k([r.key for r in samples], right, k, none_votes=none_votes)


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
