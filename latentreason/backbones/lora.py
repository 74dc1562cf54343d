"""Low-rank adapters on the backbone, through peft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentreason.config import LoraConfig
from latentreason.errors import UserError


def add_adapters(model: Any, config: LoraConfig, new_token_ids: Sequence[int]) -> Any:
    """Wrap `model` with LoRA; the rows of `new_token_ids` are trained whole beside it.

    A composite config has no `vocab_size`, so peft's automatic embedding save would drop the new
    rows; `trainable_token_indices` names them (design section 3, Checkpoint).

    Raises:
        UserError: targets that the model does not have, or that cannot be adapted.
    """
    import peft

    _check_targets(model, config.targets or (), bool(new_token_ids))

    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=config.targets,
        trainable_token_indices=_rows(model, sorted(new_token_ids)) if new_token_ids else None,
        task_type="CAUSAL_LM",
    )
    try:
        return peft.get_peft_model(model, settings)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"model.lora.targets: {config.targets} ({reason})") from error


def _check_targets(model: Any, targets: Sequence[str], new_rows: bool) -> None:
    """Adapters on a table that inputs and outputs share would be merged into both.

    A table whose new rows are trained whole takes no adapter besides.
    """
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    refused = {id(embeddings)}
    if head is not None and (new_rows or head.weight is embeddings.weight):
        refused.add(id(head))
    for name, module in model.named_modules():
        for target in targets:
            if id(module) in refused and f".{name}".endswith(f".{target}"):
                raise UserError(
                    f"model.lora.targets: {target} is the table of embeddings, or a head that is "
                    "tied to it or gets rows of new tokens; leave it out"
                )


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
