"""One pass of a backbone with keys and values as tensors in and tensors out.

Hugging Face's cache objects under gradient checkpointing are silently wrong: the layer drops the
cache and computes on (measured with transformers 5.23: loss 4.838 for 4.882). Here a pass is a
function of tensors only, so that `torch.utils.checkpoint` around it is exact, and it returns the keys
and values of its own columns only, so that a checkpointed chain of passes keeps one copy of each.

Shapes: B rows, T columns of this pass, P columns before it, H hidden size, L layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import DynamicCache, DynamicLayer

Segment = tuple[Tensor, ...]
"""Keys and values of one pass: (k_1, v_1, ..., k_L, v_L), each (B, heads, T, head size)."""


class _SegmentLayer(DynamicLayer):
    """One layer's cache: earlier passes are read, the new columns are kept apart."""

    def __init__(self, keys: list[Tensor], values: list[Tensor]) -> None:
        super().__init__()
        self.past_keys, self.past_values = keys, values
        self.new_keys: Tensor | None = None
        self.new_values: Tensor | None = None
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self.new_keys, self.new_values = key_states, value_states
        if not self.past_keys:
            return key_states, value_states
        keys = torch.cat([*self.past_keys, key_states], dim=-2)
        return keys, torch.cat([*self.past_values, value_states], dim=-2)

    def get_seq_length(self) -> int:
        return sum(k.shape[-2] for k in self.past_keys)


def run_pass(
    decoder: Any,
    embeds: Tensor,
    attention_mask: Tensor | None,
    position_ids: Tensor,
    past: list[Segment],
    *,
    recompute: bool = False,
) -> tuple[Tensor, Segment]:
    """Run `decoder` over the columns of `embeds` after the columns of `past`.

    Args:
        decoder: a backbone without its head (`model.base_model`).
        embeds: (B, T, H) input embeddings.
        attention_mask: (B, P + T), 1 where a real token stands; None where all are real.
        position_ids: (B, T).
        past: the segments of the passes before, in order.
        recompute: keep no activations of this pass but compute them again in the backward.

    Returns:
        The last hidden states (B, T, H), after the final norm, and this pass's segment.
    """
    flat = [tensor for segment in past for tensor in segment]

    def function(embeds: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        cache_ = _cache(decoder.config.num_hidden_layers, flat)
        output = decoder(
            inputs_embeds=embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=True,
            **{cache_argument(decoder): cache_},
        )
        new = [t for layer in cache_.layers for t in (layer.new_keys, layer.new_values)]
        return (output.last_hidden_state, *new)

    if recompute and torch.is_grad_enabled():
        hidden, *segment = checkpoint(function, embeds, *flat, use_reentrant=False)
    else:
        hidden, *segment = function(embeds, *flat)
    return hidden, tuple(segment)


def _cache(num_layers: int, flat: tuple[Tensor, ...]) -> DynamicCache:
    cache_ = DynamicCache()
    cache_.layers = [
        _SegmentLayer(
            list(flat[2 * layer :: 2 * num_layers]), list(flat[2 * layer + 1 :: 2 * num_layers])
        )
        for layer in range(num_layers)
    ]
    return cache_


def cache_argument(decoder: Any) -> str:
    """The keyword under which a decoder takes its cache: renamed in transformers 5.24."""
    parameters = _parameters(type(decoder).forward)
    return "cache" if "cache" in parameters else "past_key_values"


@cache
def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters
