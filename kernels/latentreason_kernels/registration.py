"""Registers the attention with transformers under the name `latentreason`.

Shapes: query (B, Hq, Lq, D); key, value (B, Hkv, Lk, D); attn_output (B, Lq, Hq, D).

    from latentreason_kernels.registration import register
    register()
    model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="latentreason")
    model(input_ids, visibility=visibility)     # no visibility: causal with the 2-D padding mask
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from latentreason_kernels.attention import attention
from latentreason_kernels.layouts import bidirectional, causal_tokens
from latentreason_kernels.visibility import Visibility

NAME = "latentreason"


@dataclass(frozen=True, eq=False)
class OrdinaryMask:
    """What transformers asked for, in place of a mask: a rule it names and the padding.

    Attributes:
        rule: the visibility of causal or bidirectional text, or None where transformers asked for
            something else (see `reason`), which is an error unless the caller gives a visibility.
        present: (B, Lk) bool from the tokenizer's 2-D attention mask, or None.
        window: keys a sliding window would allow, or None.
        reason: why there is no rule.
    """

    rule: Visibility | None
    present: torch.Tensor | None
    window: int | None = None
    reason: str = ""

    def resolve(self) -> Visibility:
        """The visibility to use when the caller gave none."""
        if self.rule is None:
            raise ValueError(
                f"attn_implementation='{NAME}' cannot express {self.reason}: "
                "pass visibility=Visibility(...) to the model's forward"
            )
        return self.rule


def register() -> None:
    """Makes `attn_implementation="latentreason"` known to transformers; may be called again."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, make_mask)


def make_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Any = None,
    attention_mask: torch.Tensor | None = None,
    local_size: int | None = None,
    device: torch.device | str | None = None,
    **_: Any,
) -> OrdinaryMask:
    """transformers' mask interface: describes the mask instead of building it."""
    if device is None:
        device = "cpu" if attention_mask is None else attention_mask.device
    kind = _kind(mask_function, local_size)
    offset = int(q_offset) - int(kv_offset)
    present = None if attention_mask is None else attention_mask.to(torch.bool)
    if present is not None and present.shape[-1] != kv_length:
        # A static cache is longer than the text so far: what lies beyond is never seen.
        present = torch.nn.functional.pad(present, (0, kv_length - present.shape[-1]))
    rule: Visibility | None = None
    if kind in ("causal", "window"):
        keys = causal_tokens(kv_length, batch=batch_size, device=device)
        rule = Visibility(keys.narrow(offset, offset + q_length), keys)
        if q_length == kv_length and offset == 0:
            rule = Visibility.of(keys)
    elif kind == "bidirectional":
        keys = bidirectional(kv_length, batch=batch_size, device=device).keys
        queries = bidirectional(q_length, batch=batch_size, device=device).queries
        rule = Visibility(queries, keys)
    if rule is not None and present is not None and not bool(present.all()):
        rule = _padded(rule, present, offset)
    window = local_size if kind == "window" else None
    return OrdinaryMask(rule, present, window, "" if rule is not None else kind)


def _kind(mask_function: Any, local_size: int | None) -> str:
    from transformers import masking_utils

    if local_size is not None:
        return "window"
    if mask_function is None or mask_function is masking_utils.causal_mask_function:
        return "causal"
    if mask_function is masking_utils.bidirectional_mask_function:
        return "bidirectional"
    return (
        "a mask function of its own (rows packed by restarting position_ids, "
        "block_sequence_ids, or and/or masks)"
    )


def _padded(rule: Visibility, present: torch.Tensor, offset: int) -> Visibility:
    """Padding for keys, and for the queries that are among them."""
    if rule.is_self:
        return rule.with_padding(present)
    keys = rule.keys.with_padding(present)
    own = present[:, offset : offset + rule.queries.length]
    if own.shape[1] != rule.queries.length:
        return Visibility(rule.queries, keys)
    return Visibility(rule.queries.with_padding(own), keys)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    visibility: Visibility | None = None,
    backend: str = "auto",
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface.

    Args:
        module: the attention layer.
        query: (B, Hq, Lq, D).
        key: (B, Hkv, Lk, D).
        value: (B, Hkv, Lk, D).
        attention_mask: what `make_mask` returned, or a boolean (B, 1, Lq, Lk) mask, which is
            refused, as is any tensor: a float 0/1 mask would be added to the scores elsewhere.
        scaling: factor of the scores.
        dropout: must be 0.
        visibility: who sees whom, passed through the model's forward. With a 2-D attention mask,
            both apply.
        backend: as for `attention`.
        is_causal: transformers' flag; False without a visibility means bidirectional.
        sliding_window: the layer's window; refused where it would hide a key.
        options: other keyword arguments of the model's forward; those that would change the result
            are refused.

    Returns:
        attn_output (B, Lq, Hq, D) and None for the weights.

    Raises:
        ValueError: where something that would change the result cannot be honoured.
    """
    _refuse_unsupported(dropout, options)
    if isinstance(attention_mask, torch.Tensor):
        raise ValueError(_mask_refusal(attention_mask))
    if attention_mask is not None and not isinstance(attention_mask, OrdinaryMask):
        raise ValueError(
            f"attention_mask is {type(attention_mask).__name__}; attn_implementation='{NAME}' "
            "takes a 2-D padding mask and visibility="
        )
    window = sliding_window or (attention_mask.window if attention_mask is not None else None)
    if window is not None and key.shape[2] > window:
        raise ValueError(
            f"sliding window of {window} tokens but {key.shape[2]} keys: "
            f"attn_implementation='{NAME}' has no sliding windows; shorten the text or use sdpa"
        )
    rule = _rule(module, query, key, attention_mask, visibility, is_causal)
    query, key, value = _autocast(query, key, value)
    out = attention(query, key, value, rule, scale=scaling, backend=backend)
    return out.transpose(1, 2).contiguous(), None


def _autocast(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Cast as autocast casts for torch's own attention: rotary positions leave queries in fp32."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(tensor.to(dtype) for tensor in tensors)


def _rule(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    mask: OrdinaryMask | None,
    visibility: Visibility | None,
    is_causal: bool | None,
) -> Visibility:
    q_length, k_length = query.shape[2], key.shape[2]
    if visibility is not None:
        if mask is None or mask.present is None:
            return visibility
        present = mask.present
        key_of_fact = ("with_padding", id(present))
        padded = visibility.fact(key_of_fact, lambda: (_with_present(visibility, present), present))
        return padded[0]
    if mask is not None:
        return mask.resolve()
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if not causal:
        both = bidirectional(max(q_length, k_length), device=query.device)
        return Visibility(both.queries.narrow(0, q_length), both.keys.narrow(0, k_length))
    if q_length > k_length:
        raise ValueError(f"{q_length} queries but {k_length} keys in causal text")
    keys = causal_tokens(k_length, device=query.device)
    return Visibility(keys.narrow(k_length - q_length), keys)


def _with_present(visibility: Visibility, present: torch.Tensor) -> Visibility:
    """The caller's visibility and the 2-D padding mask together."""
    if bool(present.all()):
        return visibility
    return visibility.expand(present.shape[0]).with_padding(present)


def _refuse_unsupported(dropout: float, options: dict[str, Any]) -> None:
    if dropout:
        raise ValueError(
            f"attention dropout is {dropout}; attn_implementation='{NAME}' has none: set "
            "attention_dropout (attn_pdrop for GPT-2) to 0 in the config"
        )
    for name in ("softcap", "position_bias", "head_mask", "s_aux"):
        if options.get(name) is not None:
            raise ValueError(f"attn_implementation='{NAME}' does not support {name}")


def _mask_refusal(mask: torch.Tensor) -> str:
    text = (
        f"attention_mask is a {tuple(mask.shape)} {mask.dtype} tensor; "
        f"attn_implementation='{NAME}' takes a 2-D padding mask and visibility=, no dense mask"
    )
    if mask.is_floating_point():
        values = mask.detach().flatten()[:4096].unique()
        if bool(((values == 0) | (values == 1)).all()):
            text += (
                ". This one holds 0 and 1: as a float mask it would be added to the scores, not "
                "applied, and every key would be seen"
            )
    return text
