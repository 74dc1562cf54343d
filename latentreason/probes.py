"""Look into thoughts: what the language-model head reads in them.

softmax(W h) at a thought is undefined as an output but legal as a probe (Coconut, section 5.3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentreason.errors import UserError
from latentreason.modeling import LatentModel


@torch.no_grad()
def top_words(
    model: LatentModel, thoughts: Tensor | None, k: int = 5
) -> list[list[tuple[str, float]]]:
    """The k most likely tokens of each thought with their probabilities.

    Args:
        model: the model that had the thoughts.
        thoughts: (num_thoughts, H), `readable_thoughts` of a `Generation` made with
            `return_thoughts=True` (its `thoughts`, where nothing projects them).
        k: tokens per thought.

    Raises:
        UserError: the generation kept no thoughts.
    """
    if thoughts is None:
        raise UserError("thoughts: none were kept; generate with return_thoughts=True")
    head = model.get_output_embeddings().weight
    probabilities = model.logits(thoughts.to(head)).float().softmax(-1)
    values, ids = probabilities.topk(min(k, probabilities.shape[-1]), -1)
    return [
        [(model.tokenizer.decode([token]), p) for token, p in zip(row, ps, strict=True)]
        for row, ps in zip(ids.tolist(), values.tolist(), strict=True)
    ]
