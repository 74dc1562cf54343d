"""Validation during training, by generation: a callable that the launch layer gives the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latentreason.config import EvalConfig
from latentreason.data.example import Example
from latentreason.errors import UserError
from latentreason_eval import distributed
from latentreason_eval.backends.model import ModelBackend
from latentreason_eval.record import judge
from latentreason_eval.rules import named_rule
from latentreason_eval.runner import questions
from latentreason_eval.sample import Sampling


def validator(
    eval_config: EvalConfig, examples: Sequence[Example], *, sharded: bool = False
) -> Callable[[Any], dict[str, float]]:
    """Return a function that scores a model on the validation examples.

    Args:
        eval_config: `limit`, `batch_size`, `max_new_tokens` and `match`, an answer rule's name.
        examples: the validation split.
        sharded: every rank calls the function and answers its share; the figures are summed over
            ranks. Otherwise each caller answers everything.

    Returns:
        model -> {"accuracy": share right, "tokens": mean visible ones, "thoughts": mean number}.

    Raises:
        UserError: `eval.match` names no answer rule, or there is nothing to score.
    """
    rule = named_rule(eval_config.match, "eval.match")
    if not examples:
        raise UserError("data.valid: it has no examples to validate on")
    asked = questions(examples, seed=0)[: eval_config.limit]
    asked.sort(key=lambda question: (-len(question.text), question.index))
    sampling = Sampling(max_new_tokens=eval_config.max_new_tokens)

    def validate(model: Any) -> dict[str, float]:
        rank, size = distributed.rank_and_size() if sharded else (0, 1)
        backend = ModelBackend(model, eval_config.batch_size)
        totals = [0.0, 0.0, 0.0, 0.0]
        for samples in backend.answer(distributed.share(asked, rank, size), sampling):
            for sample in samples:
                record = judge(examples[sample.index], sample, rule)
                row = (1.0, float(bool(record.correct)), record.num_tokens, record.num_thoughts)
                totals = [total + value for total, value in zip(totals, row, strict=True)]
        if size > 1:
            totals = _sum_over_ranks(totals)
        count = max(1.0, totals[0])
        return {
            "accuracy": totals[1] / count,
            "tokens": totals[2] / count,
            "thoughts": totals[3] / count,
        }

    return validate


def _sum_over_ranks(totals: list[float]) -> list[float]:
    import torch
    import torch.distributed as dist

    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor(totals, dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return [float(value) for value in tensor]
