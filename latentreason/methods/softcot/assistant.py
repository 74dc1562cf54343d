"""The assistant: one pass over a question and the placeholders of a chain.

Shapes: R prompts, S tokens of the longest one, L placeholders, A the assistant's hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentreason.errors import UserError


def initial_rows(
    embedding: nn.Embedding, kind: str, ids: Sequence[int], count: int
) -> tuple[Tensor, list[int] | None]:
    """What the placeholders of the chains are to the assistant, (N, A), and the ids they come from.

    Args:
        embedding: the assistant's input embedding.
        kind: "copied", "gaussian" or "learned" (which begins as copied).
        ids: rows to copy, at least `count`; not read for "gaussian".
        count: chains.

    Raises:
        UserError: there are too few ids, or one is no row of the embedding.
    """
    weight = embedding.weight.detach()
    if kind == "gaussian":
        mean, deviation = weight.float().mean(0), weight.float().std()
        noise = torch.randn(count, weight.shape[1], device=weight.device)
        return (mean + deviation * noise).to(weight.dtype), None
    if len(ids) < count:
        raise UserError(
            f"method.initial_ids: {count} chains need {count} rows and only {len(ids)} are known "
            "for this family; give ids, or initial: gaussian"
        )
    chosen = list(ids[:count])
    outside = [row for row in chosen if not 0 <= row < len(weight)]
    if outside:
        raise UserError(
            f"method.initial_ids: the assistant has {len(weight)} rows and no row {outside[0]}"
        )
    return weight[chosen].clone(), chosen


def states(
    decoder: Any,
    embedding: nn.Module,
    prompts: Sequence[Sequence[int]],
    initial: Tensor,
    count: int,
) -> Tensor:
    """Hidden states at the placeholders after the final norm, (R, L, A): the raw soft thoughts t.

    Args:
        decoder: the assistant without its head.
        embedding: its input embedding.
        prompts: token ids, each ending with `count` placeholders.
        initial: (R, A), what stands at the placeholders of each row.
        count: L.

    Equation: t = Assistant([I; Q; u_1..u_L]) at u_1..u_L (SoftCoT, arXiv 2502.12134, section 3).

    Raises:
        UserError: a prompt is longer than the assistant has positions.
    """
    longest = max(len(prompt) for prompt in prompts)
    limit = getattr(decoder.config, "max_position_embeddings", None)
    if limit is not None and longest > limit:
        raise UserError(
            f"num_thoughts: a prompt of {longest} tokens, {count} of them thoughts, and the assistant "
            f"has {limit} positions; leave that question out, or ask for fewer thoughts"
        )
    device = initial.device
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    embeds = embedding(ids[:, :-count])
    slots = initial.to(embeds.dtype)[:, None].expand(-1, count, -1)
    hidden = decoder(
        inputs_embeds=torch.cat([embeds, slots], 1),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
    ).last_hidden_state
    return hidden[:, -count:]
