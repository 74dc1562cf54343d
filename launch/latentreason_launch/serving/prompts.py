"""Prompts with vectors in them, in the forms that vLLM takes.

Shapes: T positions of a prompt, L of them vectors, H hidden size, V vocabulary.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentreason.errors import UserError
from latentreason.generation import EmbeddedPrompt


def engine_prompts(
    prompts: Sequence[EmbeddedPrompt],
    *,
    mixed: bool = True,
    embedding: Tensor | None = None,
    salt: bool = True,
) -> list[dict[str, Any]]:
    """Make what `vllm.LLM.generate` reads of each prompt; one without vectors becomes plain ids.

    Args:
        prompts: ids and the vectors among them.
        mixed: give ids, and vectors where the mask is False (vLLM 0.21 and later); otherwise give
            an embedding for every position, which is all that a server's completions take.
        embedding: (V, H), the model's input embeddings; needed where not mixed.
        salt: keep prompts with different masks apart in the prefix cache. Chains of one layout
            share their salt, and so their prefix; layouts do not share theirs with each other.

    Raises:
        UserError: vectors that do not fit into their prompt, or no `embedding`, or the wrong one.
    """
    for prompt in prompts:
        check_prompt(prompt)
    return [_mixed(prompt, salt) if mixed else _plain(prompt, embedding) for prompt in prompts]


def check_prompt(prompt: EmbeddedPrompt) -> None:
    """Raise UserError unless the vectors are (L, H) floats inside the prompt."""
    vectors, start = prompt.vectors, prompt.start
    if vectors.ndim != 2 or not vectors.is_floating_point():
        raise UserError(
            f"vectors: {tuple(vectors.shape)} {vectors.dtype} of {where(prompt)}; "
            "give floats of shape (L, H)"
        )
    if len(vectors) and not 0 <= start <= len(prompt.ids) - len(vectors):
        raise UserError(
            f"start: {len(vectors)} vectors from position {start} do not fit into the "
            f"{len(prompt.ids)} ids of {where(prompt)}"
        )


def where(prompt: EmbeddedPrompt) -> str:
    """Name a prompt in a message."""
    return f"question {prompt.prompt_index}, chain {prompt.chain}"


def token_mask(prompt: EmbeddedPrompt) -> list[bool]:
    """(T,): True where an id stands, False where a vector does."""
    end = prompt.start + len(prompt.vectors)
    return [not prompt.start <= place < end for place in range(len(prompt.ids))]


def cache_salt(prompt: EmbeddedPrompt) -> str:
    """A salt that two prompts share exactly if their vectors stand at the same places.

    vLLM's prefix cache tells prompts apart by ids and rows alone (issue 56655), so that a zero
    vector and an id beside a row of zeros are one and the same to it.
    """
    layout = f"{prompt.start}:{len(prompt.vectors)}"
    return hashlib.sha256(layout.encode()).hexdigest()


def request_seed(seed: int, prompt: EmbeddedPrompt) -> int:
    """The seed of one chain of one question, so that equal prompts do not draw equal words."""
    keys = np.random.SeedSequence([seed, prompt.prompt_index, prompt.chain])
    return int(keys.generate_state(1)[0])


def encode(vectors: Tensor) -> str:
    """Base64 of `torch.save`: how vectors travel in a request."""
    buffer = io.BytesIO()
    # A view would be saved with all of its storage.
    torch.save(vectors.detach().cpu().clone(), buffer)
    return base64.b64encode(buffer.getvalue()).decode()


def _mixed(prompt: EmbeddedPrompt, salt: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"prompt_token_ids": list(prompt.ids)}
    if not len(prompt.vectors):
        return made
    vectors = prompt.vectors.detach().cpu()
    rows = vectors.new_zeros(len(prompt.ids), vectors.shape[1])
    rows[prompt.start : prompt.start + len(vectors)] = vectors
    made |= {"prompt_embeds": rows, "prompt_is_token_ids": token_mask(prompt)}
    return made | ({"cache_salt": cache_salt(prompt)} if salt else {})


def _plain(prompt: EmbeddedPrompt, embedding: Tensor | None) -> dict[str, Any]:
    # No salt: without a mask, the cache's key holds all that the engine computes with.
    if not len(prompt.vectors):
        return {"prompt_token_ids": list(prompt.ids)}
    if embedding is None:
        raise UserError(
            "embedding: prompts that are not mixed need the model's input embeddings; give "
            "model.get_input_embeddings().weight"
        )
    if embedding.ndim != 2 or embedding.shape[1] != prompt.vectors.shape[1]:
        raise UserError(
            f"embedding: {tuple(embedding.shape)} does not go with vectors of "
            f"{prompt.vectors.shape[1]}; give the (V, H) table of the model that answers"
        )
    ids = torch.tensor(prompt.ids)
    # What stands where the vectors go is not read: a placeholder may lie outside the table.
    ids[prompt.start : prompt.start + len(prompt.vectors)] = 0
    if int(ids.max()) >= len(embedding):
        raise UserError(
            f"embedding: id {int(ids.max())} of {where(prompt)} is not among its {len(embedding)} "
            "rows; give the table of the model that answers"
        )
    rows = embedding.detach()[ids.to(embedding.device)].cpu()
    rows[prompt.start : prompt.start + len(prompt.vectors)] = prompt.vectors.detach().to(rows)
    return {"prompt_embeds": rows}
