"""The recipe's `method` section for Coconut and its ablations."""

from __future__ import annotations

from dataclasses import dataclass, field

from latentreason.errors import UserError, check_choice
from latentreason.methods.coconut.curriculum import check_stage
from latentreason.prompt import PromptConfig

PROJECTIONS = ("none", "linear", "mlp_norm", "norm", "scale")
OBJECTIVES = ("text", "on_path", "frontier")
CURRICULUM_FIELDS = (
    "thoughts_per_step",
    "max_stage",
    "pad_to_max",
    "growth",
    "curriculum",
    "stage_mixing",
    "markers",
    "thought_source",
    "thought_projection",
    "single_pass",
    "truncate",
    "objective",
    "gold_thoughts",
)
"""What a checkpoint's config takes over from the settings under the same name."""


@dataclass
class Settings:
    """Coconut's curriculum and its ablation switches (arXiv 2412.06769, section 3 and table 1).

    Attributes:
        name: registry name.
        thoughts_per_step: c, thoughts that replace one step (tokens); 0 removes steps for nothing.
        max_stage: S; stage s <= S drops the first s steps, a later stage drops all of them.
        pad_to_max: the final stage has S * c thoughts whatever the number of steps; otherwise a
            sample with m steps has at most m * c in training. Inference does not know m and always
            uses the stage's number, so short samples are then tested on what was not trained.
        growth: "step" gives a step's c thoughts in one stage; "thought" adds one thought per stage,
            so that plain stage s is stage s * c.
        curriculum: false drops all steps and has all S * c thoughts from the first step on; the only
            stage is then 0.
        stage_mixing: probability that a sample is laid out for a stage drawn uniformly from 0..m
            (the released code's `uniform_prob`).
        markers: put begin- and end-of-thought tokens around the thoughts.
        thought_source: "hidden" feeds the last hidden state back, "learned" keeps the placeholder's
            learned embedding (pause-as-thought).
        thought_projection: what a hidden state passes through before it is fed back: "none",
            "linear", "mlp_norm" (CODI's), "norm" (to the length of token embeddings) or "scale".
        passes: "sequential" computes thought by thought; "single", for learned thoughts only, reads
            them all in one pass.
        truncate: back-propagate through at most so many links from thought to thought; None through
            all, 0 through none. Attention to earlier thoughts stays differentiable.
        objective: "text" supervises the remaining steps and the answer; on symbolic graphs
            (arXiv 2505.12514) one token is supervised: "on_path" a random node of the next layer of
            shortest paths, "frontier" a random node of the next breadth-first layer.
        gold_thoughts: with such an objective the evaluator gives every question as many thoughts as
            its gold path has steps, as published; else it has `max_stage`.
        marker_init: "mean", "random" or a token whose embedding the three new tokens copy (the
            released code: "<<").
        max_new_tokens: default of `generate`, stored in the checkpoint.
        prompt: see `PromptConfig`.
    """

    name: str = ""
    thoughts_per_step: int = 1
    max_stage: int = 3
    pad_to_max: bool = True
    growth: str = "step"
    curriculum: bool = True
    stage_mixing: float = 0.0
    markers: bool = True
    thought_source: str = "hidden"
    thought_projection: str = "none"
    passes: str | None = None
    truncate: int | None = None
    objective: str = "text"
    gold_thoughts: bool = False
    marker_init: str = "mean"
    max_new_tokens: int = 64
    prompt: PromptConfig = field(default_factory=PromptConfig)

    def check(self, source: str) -> None:
        """Raise UserError for values that are not allowed or would be ignored."""
        for name, allowed in (
            ("thought_source", ("hidden", "learned")),
            ("thought_projection", PROJECTIONS),
            ("growth", ("step", "thought")),
            ("objective", OBJECTIVES),
            ("passes", ("sequential", "single", None)),
        ):
            if getattr(self, name) not in allowed:
                words = [word for word in allowed if word is not None]
                check_choice(f"{source}: method.{name}", str(getattr(self, name)), words)
        if not 0 <= self.stage_mixing <= 1:
            raise UserError(f"{source}: method.stage_mixing: {self.stage_mixing} is not in [0, 1]")
        for name in ("thoughts_per_step", "max_stage"):
            if getattr(self, name) < 0:
                raise UserError(f"{source}: method.{name}: {getattr(self, name)} is negative")
        if not self.thoughts_per_step and (
            self.truncate is not None or self.thought_projection != "none"
        ):
            raise UserError(
                f"{source}: method.thoughts_per_step: without thoughts, truncate and "
                "thought_projection would be ignored"
            )
        self._check_source(source)
        self._check_schedule(source)
        if self.objective != "text":
            self._check_symbolic(source)
        elif self.gold_thoughts:
            raise UserError(
                f"{source}: method.gold_thoughts: text questions have padded thoughts; it goes with "
                "objective on_path or frontier"
            )

    def check_stage(self, stage: int) -> None:
        """Raise UserError for a stage that the curriculum does not have."""
        check_stage(stage, self.curriculum)

    def _check_source(self, source: str) -> None:
        """Switches of the hidden states, and the learned embedding in their place."""
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
        if self.thought_projection != "none" and self.thought_source == "learned":
            raise UserError(
                f"{source}: method.thought_projection: {self.thought_projection} needs fed-back "
                "hidden states, and thought_source is learned"
            )

    def _check_schedule(self, source: str) -> None:
        if self.growth == "thought" and (self.thoughts_per_step < 2 or not self.curriculum):
            raise UserError(
                f"{source}: method.growth: thoughts grow one at a time in a curriculum with two or "
                f"more per step, and thoughts_per_step is {self.thoughts_per_step}"
            )
        if not self.curriculum and self.stage_mixing:
            raise UserError(
                f"{source}: method.stage_mixing: {self.stage_mixing} mixes stages, and curriculum "
                "is false"
            )

    def _check_symbolic(self, source: str) -> None:
        """One supervised token, one thought per hop, the answer's opening in place of markers."""
        wanted = {"thoughts_per_step": 1, "markers": False, "pad_to_max": True, "curriculum": True,
                  "max_new_tokens": 1}  # fmt: skip
        for name, value in wanted.items():
            if getattr(self, name) != value:
                raise UserError(
                    f"{source}: method.{name}: {getattr(self, name)} does not go with objective "
                    f"{self.objective}; set {str(value).lower()}"
                )

    @property
    def single_pass(self) -> bool:
        """Whether all thoughts are read at once."""
        return self.thought_source == "learned" and self.passes != "sequential"
