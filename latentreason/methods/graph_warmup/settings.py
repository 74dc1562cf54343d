"""The recipe's `method` section for the warm-up on symbolic graphs."""

from __future__ import annotations

from dataclasses import dataclass, field

from latentreason.errors import UserError
from latentreason.prompt import PromptConfig


@dataclass
class Settings:
    """Node queries after the prompt of a symbolic graph.

    Attributes:
        name: registry name.
        queries: queries per graph (tokens); each sees the prompt and no other query.
        max_new_tokens: default of `generate`, stored in the checkpoint.
        prompt: see `PromptConfig`; give the arms that start from this checkpoint the same.
    """

    name: str = ""
    queries: int = 32
    max_new_tokens: int = 1
    prompt: PromptConfig = field(default_factory=PromptConfig)

    def check(self, source: str) -> None:
        """Raise UserError for values that are not allowed."""
        if self.queries < 1:
            raise UserError(
                f"{source}: method.queries: {self.queries} is too small; give 1 or more"
            )
