"""Training with the evaluator's validation put in from above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentreason.config import Recipe
from latentreason.data.example import Example
from latentreason.training.train import TrainResult, train


def train_recipe(recipe: Recipe) -> TrainResult:
    """Train a recipe and validate by generation on its `valid` split."""
    from transformers.utils.logging import disable_progress_bar

    from latentreason_eval.rules import named_rule
    from latentreason_eval.validation import validator

    # A bar for each checkpoint's files would break into the trainer's own.
    disable_progress_bar()

    # Said now and not at the first validation, hours from here.
    named_rule(recipe.eval.match, "eval.match")

    def validate(model: Any, examples: Sequence[Example]) -> dict[str, float]:
        return validator(recipe.eval, list(examples))(model)

    return train(recipe, validate)
