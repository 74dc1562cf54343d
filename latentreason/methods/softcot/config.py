"""What a SoftCoT checkpoint knows."""

from __future__ import annotations

from typing import Any

from latentreason.modeling import LatentConfig


class Config(LatentConfig):
    """Checkpoint config of SoftCoT and SoftCoT++.

    Attributes:
        num_thoughts, train_thoughts, num_chains, initial, projection_dtype, match_norm,
            common_random_numbers: see `Settings`; train_thoughts is a number here.
        nll_reduction, contrastive: how it was trained.
        assistant: name, revision, config and dtype of the assistant, as `base_model` has the LLM's.
        assistant_adapter: adapters of the assistant lie in the checkpoint.
        assistant_hidden_size, hidden_size: the map goes from the one to the other.
        initial_ids: ids of the rows that the chains' placeholders were copied from, or None.
        placeholder_id, begin_id, end_id: of the block in the LLM's prompt; None where there is none.
        assistant_placeholder_id: of the placeholder in the assistant's prompt.
        template_hash: of `prompt`.
    """

    model_type = "latentreason_softcot"

    def __init__(
        self,
        train_thoughts: int = 4,
        num_chains: int = 1,
        initial: str = "copied",
        initial_ids: list[int] | None = None,
        projection_dtype: str = "float32",
        match_norm: bool = False,
        nll_reduction: str = "sum",
        contrastive: dict[str, Any] | None = None,
        common_random_numbers: bool = False,
        assistant: dict[str, Any] | None = None,
        assistant_adapter: bool = False,
        assistant_hidden_size: int = 0,
        hidden_size: int = 0,
        placeholder_id: int | None = None,
        begin_id: int | None = None,
        end_id: int | None = None,
        assistant_placeholder_id: int | None = None,
        template_hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.train_thoughts = train_thoughts
        self.num_chains = num_chains
        self.initial = initial
        self.initial_ids = initial_ids
        self.projection_dtype = projection_dtype
        self.match_norm = match_norm
        self.nll_reduction = nll_reduction
        self.contrastive = contrastive or {}
        self.common_random_numbers = common_random_numbers
        self.assistant = assistant or {}
        self.assistant_adapter = assistant_adapter
        self.assistant_hidden_size = assistant_hidden_size
        self.hidden_size = hidden_size
        self.placeholder_id = placeholder_id
        self.begin_id = begin_id
        self.end_id = end_id
        self.assistant_placeholder_id = assistant_placeholder_id
        self.template_hash = template_hash
        super().__init__(**kwargs)
