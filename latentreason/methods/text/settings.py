"""The recipe's `method` section for the text baselines."""

from __future__ import annotations

from dataclasses import dataclass, field

from latentreason.errors import UserError, check_choice
from latentreason.prompt import PromptConfig


@dataclass
class Settings:
    """Supervised fine-tuning on question, steps and answer.

    Attributes:
        name: registry name.
        steps: "all" writes every step before the answer (CoT), "none" answers directly (No-CoT),
            "internalized" removes the chain's tokens from the left, as many as the stage says
            (iCoT, arXiv 2405.14838).
        remove_all_at: internalized: at this stage and later the whole chain is gone; None removes
            token by token to the end.
        removal_smoothing: internalized: lambda of the random offset, P(o) ~ exp(-lambda o) tokens
            removed besides; .inf removes none besides.
        pack_length: put several examples into rows of at most so many tokens, none of which sees
            another; needs model.attn_implementation=latentreason.
        max_new_tokens: default of `generate`, stored in the checkpoint.
        prompt: see `PromptConfig`.
    """

    name: str = ""
    steps: str = "all"
    remove_all_at: int | None = None
    removal_smoothing: float = 4.0
    pack_length: int | None = None
    max_new_tokens: int = 128
    prompt: PromptConfig = field(default_factory=PromptConfig)

    def check(self, source: str) -> None:
        """Raise UserError for values that are not allowed or would be ignored."""
        check_choice(f"{source}: method.steps", self.steps, ("all", "none", "internalized"))
        if not self.removal_smoothing > 0:
            raise UserError(
                f"{source}: method.removal_smoothing: {self.removal_smoothing} has to be above 0; "
                ".inf removes no token besides the scheduled ones"
            )
        if self.remove_all_at is not None and self.remove_all_at < 1:
            raise UserError(
                f"{source}: method.remove_all_at: {self.remove_all_at} would never show the chain; "
                "give 1 or more, or steps: none"
            )
        if self.pack_length is not None and self.pack_length < 2:
            raise UserError(f"{source}: method.pack_length: {self.pack_length} is too small")
        changed = (self.remove_all_at, self.removal_smoothing) != (None, 4.0)
        if changed and self.steps != "internalized":
            raise UserError(
                f"{source}: method.remove_all_at and removal_smoothing are read with steps: "
                f"internalized only, and steps is {self.steps}"
            )
