"""Validation during training, by generation: a callable that the launch layer gives the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latentreason.config import EvalConfig
from latentreason.data.example import Example
from latentreason.errors import UserError
from latentreason_eval.backends.model import ModelBackend
from latentreason_eval.record import judge
from latentreason_eval.rules import named_rule
from latentreason_eval.runner import questions
from latentreason_eval.sample import Sampling
from latentreason_eval.summary import mean


def validator(
    eval_config: EvalConfig, examples: Sequence[Example]
) -> Callable[[Any], dict[str, float]]:
    """Return a function that scores a model on the validation examples.

    It answers all of them: a trainer with several ranks hands each its share and sums up.

    Args:
        eval_config: `limit`, `batch_size`, `max_new_tokens` and `match`, an answer rule's name.
        examples: the validation split.

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
        backend = ModelBackend(model, eval_config.batch_size)
        records = [
            judge(examples[sample.index], sample, rule)
            for samples in backend.answer(asked, sampling)
            for sample in samples
        ]
        return {
            "accuracy": mean([bool(record.correct) for record in records]),
            "tokens": mean([record.num_tokens for record in records]),
            "thoughts": mean([record.num_thoughts for record in records]),
        }

    return validate
