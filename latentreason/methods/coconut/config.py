"""What a Coconut checkpoint knows."""

from __future__ import annotations

from typing import Any

from latentreason.modeling import LatentConfig


class Config(LatentConfig):
    """Checkpoint config of Coconut.

    Attributes:
        thoughts_per_step, max_stage, pad_to_max, growth, curriculum, stage_mixing, markers,
            thought_source, thought_projection, single_pass, truncate, objective, gold_thoughts: see
            `Settings`.
        latent_token_id: the placeholder that marks a thought's slot.
        start_latent_token_id, end_latent_token_id: begin- and end-of-thought.
        answer_mark_ids: what is put between the thoughts and the answer, with a symbolic objective.
    """

    model_type = "latentreason_coconut"

    def __init__(
        self,
        thoughts_per_step: int = 1,
        max_stage: int = 3,
        pad_to_max: bool = True,
        growth: str = "step",
        curriculum: bool = True,
        stage_mixing: float = 0.0,
        markers: bool = True,
        thought_source: str = "hidden",
        thought_projection: str = "none",
        single_pass: bool = False,
        truncate: int | None = None,
        objective: str = "text",
        gold_thoughts: bool = False,
        latent_token_id: int | None = None,
        start_latent_token_id: int | None = None,
        end_latent_token_id: int | None = None,
        answer_mark_ids: list[int] | None = None,
        **kwargs: Any,
    ) -> None:
        self.thoughts_per_step = thoughts_per_step
        self.max_stage = max_stage
        self.pad_to_max = pad_to_max
        self.growth = growth
        self.curriculum = curriculum
        self.stage_mixing = stage_mixing
        self.markers = markers
        self.thought_source = thought_source
        self.thought_projection = thought_projection
        self.single_pass = single_pass
        self.truncate = truncate
        self.objective = objective
        self.gold_thoughts = gold_thoughts
        self.latent_token_id = latent_token_id
        self.start_latent_token_id = start_latent_token_id
        self.end_latent_token_id = end_latent_token_id
        self.answer_mark_ids = answer_mark_ids
        super().__init__(**kwargs)

    @property
    def marker_ids(self) -> list[int]:
        """Ids that stand for thoughts and are never written as text."""
        ids = (self.latent_token_id, self.start_latent_token_id, self.end_latent_token_id)
        return [token for token in ids if token is not None]
