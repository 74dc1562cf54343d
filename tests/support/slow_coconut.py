"""Coconut written slowly and obviously: one row, no cache, everything again for each thought."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latentreason.columns import Row


def run(model: Any, embeds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Hidden states after the final norm (T, H) and logits (T, V) of one row of T embeddings."""
    output = model.language_model(
        inputs_embeds=torch.stack(list(embeds))[None], output_hidden_states=True, use_cache=False
    )
    return output.hidden_states[-1][0], output.logits[0]


def fill_thoughts(model: Any, row: Row) -> list[Tensor]:
    """The row's input embeddings with every slot filled by the hidden state before it."""
    embeds = list(model.get_input_embeddings()(torch.tensor(row.ids)))
    for slot in range(row.num_thoughts):
        place = row.first_thought + slot
        hidden, _ = run(model, embeds)
        embeds[place] = hidden[place - 1]
    return embeds


def row_logits(model: Any, row: Row) -> Tensor:
    """Logits (T, V) of a laid-out row."""
    return run(model, fill_thoughts(model, row))[1]


def row_loss(model: Any, row: Row) -> Tensor:
    """Summed cross-entropy over the row's supervised tokens."""
    logits, labels = row_logits(model, row), torch.tensor(row.labels)
    return F.cross_entropy(logits[:-1], labels[1:], ignore_index=-100, reduction="sum")


@torch.no_grad()
def answer(
    model: Any,
    prompt: Sequence[int],
    num_thoughts: int,
    max_new_tokens: int,
    pick: Callable[[Tensor, int], int] = lambda logits, position: int(logits.argmax()),
) -> tuple[list[int], Tensor]:
    """Visible ids without the end token, and the thoughts (n, H)."""
    table, config = model.get_input_embeddings().weight, model.config
    embeds = list(table[list(prompt)])
    thoughts = []
    if hasattr(config, "latent_token_id"):
        embeds.append(table[config.start_latent_token_id])
        for _ in range(num_thoughts):
            thoughts.append(run(model, embeds)[0][-1])
            embeds.append(thoughts[-1])
        embeds.append(table[config.end_latent_token_id])
    written: list[int] = []
    for position in range(max_new_tokens):
        logits = run(model, embeds)[1][-1].clone()
        if hasattr(config, "latent_token_id"):
            logits[config.marker_ids] = float("-inf")
        token = pick(logits, position)
        if token == model.tokenizer.eos_token_id:
            break
        written.append(token)
        embeds.append(table[token])
    return written, torch.stack(thoughts) if thoughts else torch.empty(0, table.shape[1])
