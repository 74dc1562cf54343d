"""What a Coconut checkpoint knows."""

from __future__ import annotations

from typing import Any

from latentreason.modeling import LatentConfig


class Config(LatentConfig):
    """Checkpoint config of Coconut.

    Attributes:
        thoughts_per_step, max_stage, pad_to_max, stage_mixing, markers, thought_source, single_pass,
            truncate: see `Settings`.
        latent_token_id: the placeholder that marks a thought's slot.
        start_latent_token_id, end_latent_token_id: begin- and end-of-thought.
    """

    model_type = "latentreason_coconut"

    def __init__(
        self,
        thoughts_per_step: int = 1,
        max_stage: int = 3,
        pad_to_max: bool = True,
        stage_mixing: float = 0.0,
        markers: bool = True,
        thought_source: str = "hidden",
        single_pass: bool = False,
        truncate: int | None = None,
        latent_token_id: int | None = None,
        start_latent_token_id: int | None = None,
        end_latent_token_id: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.thoughts_per_step = thoughts_per_step
        self.max_stage = max_stage
        self.pad_to_max = pad_to_max
        self.stage_mixing = stage_mixing
        self.markers = markers
        self.thought_source = thought_source
        self.single_pass = single_pass
        self.truncate = truncate
        self.latent_token_id = latent_token_id
        self.start_latent_token_id = start_latent_token_id
        self.end_latent_token_id = end_latent_token_id
        super().__init__(**kwargs)

    @property
    def marker_ids(self) -> list[int]:
        """Ids that stand for thoughts and are never written as text."""
        ids = (self.latent_token_id, self.start_latent_token_id, self.end_latent_token_id)
        return [token for token in ids if token is not None]
