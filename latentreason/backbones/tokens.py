"""New vocabulary entries with a chosen initialisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from latentreason.errors import UserError


def add_tokens(model: Any, tokenizer: Any, tokens: Sequence[str], init: str = "mean") -> list[int]:
    """Add `tokens` to tokenizer and model and return their ids.

    Input and output rows are set alike; tied ones stay tied. Tokens that exist already keep their
    rows.

    Args:
        model: a causal LM with `resize_token_embeddings`.
        tokenizer: a Hugging Face tokenizer.
        tokens: the new entries.
        init: "mean" of all rows, "random" (the model's own initialisation), or the text of a token
            whose row is copied (Coconut's released code copies "<<").

    Raises:
        UserError: `init` is text that the tokenizer does not hold as one token.
    """
    known = tokenizer.get_vocab()
    new = [token for token in tokens if token not in known]
    tokenizer.add_tokens(new)
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    old_rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > old_rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if init == "random" or not new:
        return ids
    source = None if init == "mean" else _single_token(tokenizer, init)
    new_ids = [token_id for token, token_id in zip(tokens, ids, strict=True) if token in new]
    first = min(new_ids)
    embeddings = {id(model.get_input_embeddings().weight): model.get_input_embeddings().weight}
    head = model.get_output_embeddings()
    if head is not None:
        embeddings[id(head.weight)] = head.weight
    with torch.no_grad():
        for weight in embeddings.values():
            row = weight[:first].mean(0) if source is None else weight[source].clone()
            weight[new_ids] = row
    return ids


def _single_token(tokenizer: Any, text: str) -> int:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise UserError(
            f'method.marker_init: "{text}" is not one token of this tokenizer ({len(ids)} pieces); '
            'give another token, "mean" or "random"'
        )
    return ids[0]
