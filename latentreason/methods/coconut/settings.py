"""The recipe's `method` section for Coconut and pause-as-thought."""

from __future__ import annotations

from dataclasses import dataclass, field

from latentreason.errors import UserError, check_choice
from latentreason.prompt import PromptConfig


@dataclass
class Settings:
    """Coconut's curriculum and its ablation switches (arXiv 2412.06769, section 3 and table 1).

    Attributes:
        name: registry name.
        thoughts_per_step: c, thoughts that replace one step (tokens).
        max_stage: S; stage s <= S drops the first s steps, a later stage drops all of them.
        pad_to_max: the final stage has S * c thoughts whatever the number of steps; otherwise a
            sample with m steps has at most m * c, in training and inference alike.
        stage_mixing: probability that a sample is laid out for a stage drawn uniformly from 0..m
            (the released code's `uniform_prob`).
        markers: put begin- and end-of-thought tokens around the thoughts.
        thought_source: "hidden" feeds the last hidden state back, "learned" keeps the placeholder's
            learned embedding (pause-as-thought).
        passes: "sequential" computes thought by thought; "single", for learned thoughts only, reads
            them all in one pass.
        truncate: back-propagate through at most so many thoughts; None through all, 0 through none.
        marker_init: "mean", "random" or a token whose embedding the three new tokens copy (the
            released code: "<<").
        max_new_tokens: default of `generate`, stored in the checkpoint.
        prompt: see `PromptConfig`.
    """

    name: str = ""
    thoughts_per_step: int = 1
    max_stage: int = 3
    pad_to_max: bool = True
    stage_mixing: float = 0.0
    markers: bool = True
    thought_source: str = "hidden"
    passes: str | None = None
    truncate: int | None = None
    marker_init: str = "mean"
    max_new_tokens: int = 64
    prompt: PromptConfig = field(default_factory=PromptConfig)

    def check(self, source: str) -> None:
        """Raise UserError for values that are not allowed or would be ignored."""
        check_choice(f"{source}: method.thought_source", self.thought_source, ("hidden", "learned"))
        if self.passes is not None:
            check_choice(f"{source}: method.passes", self.passes, ("sequential", "single"))
        if self.passes == "single" and self.thought_source == "hidden":
            raise UserError(
                f"{source}: method.passes: a hidden state cannot be fed back within a single pass; "
                "use sequential"
            )
        if self.truncate is not None and (self.truncate < 0 or self.thought_source == "learned"):
            raise UserError(
                f"{source}: method.truncate: {self.truncate} needs fed-back hidden states and a "
                "window of 0 or more thoughts"
            )
        if not 0 <= self.stage_mixing <= 1:
            raise UserError(f"{source}: method.stage_mixing: {self.stage_mixing} is not in [0, 1]")
        for name in ("thoughts_per_step", "max_stage"):
            if getattr(self, name) < 0:
                raise UserError(f"{source}: method.{name}: {getattr(self, name)} is negative")

    @property
    def single_pass(self) -> bool:
        """Whether all thoughts are read at once."""
        return self.thought_source == "learned" and self.passes != "sequential"
