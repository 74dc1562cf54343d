"""The recipe's `method` section for the text baselines."""

from __future__ import annotations

from dataclasses import dataclass, field

from latentreason.errors import check_choice
from latentreason.prompt import PromptConfig


@dataclass
class Settings:
    """Supervised fine-tuning on question, steps and answer.

    Attributes:
        name: registry name.
        steps: "all" writes every step before the answer (CoT), "none" answers directly (No-CoT).
        max_new_tokens: default of `generate`, stored in the checkpoint.
        prompt: see `PromptConfig`.
    """

    name: str = ""
    steps: str = "all"
    max_new_tokens: int = 128
    prompt: PromptConfig = field(default_factory=PromptConfig)

    def check(self, source: str) -> None:
        """Raise UserError for values that are not allowed."""
        check_choice(f"{source}: method.steps", self.steps, ("all", "none"))
