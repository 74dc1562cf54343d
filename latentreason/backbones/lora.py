"""Low-rank adapters on the backbone, through peft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentreason.config import LoraConfig


def add_adapters(model: Any, config: LoraConfig, new_token_ids: Sequence[int]) -> Any:
    """Wrap `model` with LoRA; the rows of `new_token_ids` are trained whole beside it.

    A composite config has no `vocab_size`, so peft's automatic embedding save would drop the new
    rows; `trainable_token_indices` names them (design section 3, Checkpoint).
    """
    import peft

    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.targets,
        trainable_token_indices=_rows(model, sorted(new_token_ids)) if new_token_ids else None,
        task_type="CAUSAL_LM",
    )
    return peft.get_peft_model(model, settings)


def _rows(model: Any, ids: list[int]) -> dict[str, list[int]]:
    """The rows to train by module name, in the head as well where it has weights of its own."""
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is None or head.weight is embeddings.weight
    wanted = [embeddings] if tied else [embeddings, head]
    return {
        name.rpartition(".")[2]: ids
        for name, module in model.named_modules()
        if any(module is one for one in wanted)
    }
