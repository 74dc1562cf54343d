"""Read what others have trained: the released code's checkpoints, and plain causal LMs with its tokens."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from latentreason.backbones.load import is_latent_checkpoint, load_causal_lm, load_tokenizer
from latentreason.errors import MissingFileError, UserError
from latentreason.methods.coconut.layout import END, LATENT, START

WRAPPED = "base_causallm."
RELEASED_ORDER = (START, END, LATENT)
"""The order in which the released code appends its three tokens to the vocabulary."""
EMBEDDING = re.compile(r"(^embedding|wte|embed_tokens)\.weight$")
"""The wrapper's own name of the embedding, which any family has, and the families' names."""
BUFFERS = re.compile(r"\.(attn\.(masked_)?bias|rotary_emb\.inv_freq)$")


def read_foreign(source: Path, base: str | None) -> tuple[Any, Any]:
    """Return (language model, tokenizer) with the three tokens in both.

    Args:
        source: a file that `torch.save` wrote of the wrapper's state dict, or the directory of an
            ordinary causal LM.
        base: hub name or directory of the backbone that a state dict belongs to.

    Raises:
        MissingFileError: there is no such file or directory.
        UserError: it is something else, or does not fit the base.
    """
    if source.is_dir():
        if base is not None:
            raise UserError(
                f"base: {base} would be ignored, {source} is a whole model; leave it out"
            )
        return _from_directory(source)
    if not source.is_file():
        raise MissingFileError(
            f"source: {source} is neither a state-dict file nor a model directory"
        )
    if base is None:
        raise UserError(
            f"base: {source} is a state dict; name the backbone it was trained from, for its config "
            "and tokenizer (--base openai-community/gpt2)"
        )
    return _from_state_dict(source, base)


def _from_directory(source: Path) -> tuple[Any, Any]:
    if (source / "adapter_config.json").is_file():
        raise UserError(
            f"source: {source} is a PEFT adapter; merge it first (merge_and_unload() of the PeftModel, "
            "then save_pretrained)"
        )
    try:
        language_model = load_causal_lm(str(source))
    except MissingFileError as error:
        raise UserError(f"source: {source} is no causal language model ({error})") from error
    tokenizer = load_tokenizer(str(source))
    _append_tokens(tokenizer, language_model.get_input_embeddings().weight.shape[0], source)
    return language_model, tokenizer


def _from_state_dict(source: Path, base: str) -> tuple[Any, Any]:
    wrapper = _read(source)
    state = unwrap(wrapper, source)
    dtype = _precision(state, source)
    tokenizer, config = _read_base(base)
    rows = _embedding_rows(wrapper, source)
    config.vocab_size = rows
    _append_tokens(tokenizer, rows, source)
    # In their own precision: the base's config may name a lower one.
    language_model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    _fill_tied(language_model, state)
    expected = language_model.state_dict()
    odd = sorted(
        name
        for name in expected.keys() | state.keys()
        if name not in expected or name not in state or expected[name].shape != state[name].shape
    )
    if odd:
        raise UserError(
            f"source: {source} does not fit base {base}: {odd[0]} and {len(odd) - 1} more are missing, "
            "too many or of another shape"
        )
    _check_tied(language_model, state, source)
    language_model.load_state_dict(state)
    return language_model, tokenizer


def unwrap(state: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    """The backbone's part of the wrapper's state dict, without old versions' buffers.

    The wrapper holds the embedding a second time, under a name of its own.
    """
    found = {
        name.removeprefix(WRAPPED): tensor
        for name, tensor in state.items()
        if name.startswith(WRAPPED) and not BUFFERS.search(name)
    }
    if not found:
        raise UserError(
            f'source: {source} has no tensor whose name begins with "{WRAPPED}"; it is not a '
            "checkpoint of the released wrapper"
        )
    return found


def _read(source: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise UserError(f"source: {source} cannot be read as a state dict ({reason})") from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and torch.is_tensor(value) for name, value in state.items()
    ):
        raise UserError(f"source: {source} holds something else than a state dict of tensors")
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", name): value for name, value in state.items()}


def _read_base(base: str) -> tuple[Any, Any]:
    if is_latent_checkpoint(base):
        raise UserError(
            f"base: {base} is a latentreason checkpoint; name the backbone that the state dict was "
            "trained from"
        )
    try:
        return load_tokenizer(base), AutoConfig.from_pretrained(base)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:120]
        raise MissingFileError(
            f"base: {base} is no backbone with a config and a tokenizer ({reason})"
        ) from error


def _embedding_rows(wrapper: dict[str, Tensor], source: Path) -> int:
    for name, tensor in wrapper.items():
        if EMBEDDING.search(name):
            return tensor.shape[0]
    raise UserError(
        f"source: {source} has no embedding.weight, and what this family of models calls its "
        "embedding is not known; save the whole wrapper"
    )


def _precision(state: dict[str, Tensor], source: Path) -> torch.dtype:
    """The lowest precision that rounds none of the weights."""
    found = {tensor.dtype for tensor in state.values() if tensor.is_floating_point()}
    if not found:
        raise UserError(
            f"source: {source} has no floating-point weights; save it before it is quantized"
        )
    return functools.reduce(torch.promote_types, found)


def _append_tokens(tokenizer: Any, rows: int, source: Path) -> None:
    """Give the tokenizer the three tokens where the model has rows for them at its end."""
    known = tokenizer.get_vocab()
    if all(token in known for token in RELEASED_ORDER):
        if max(known[token] for token in RELEASED_ORDER) >= rows:
            raise UserError(
                f"source: {source} has {rows} embedding rows, too few for its tokenizer"
            )
        return
    # In its released order, one after the other: add_tokens keeps the order of a list.
    if any(token in known for token in RELEASED_ORDER) or len(tokenizer) + 3 != rows:
        raise UserError(
            f"source: {source} has {rows} embedding rows and its tokenizer {len(tokenizer)} entries; "
            f"expected the three tokens {', '.join(RELEASED_ORDER)} in the tokenizer, or exactly three "
            "more rows than entries"
        )
    tokenizer.add_tokens(list(RELEASED_ORDER))


def _fill_tied(language_model: Any, state: dict[str, Tensor]) -> None:
    """Add the second name of a tensor that was saved once, such as a tied head."""
    own = language_model.state_dict(keep_vars=True)
    held = {id(own[name]): tensor for name, tensor in state.items() if name in own}
    for name, parameter in own.items():
        if name not in state and id(parameter) in held:
            state[name] = held[id(parameter)]


def _check_tied(language_model: Any, state: dict[str, Tensor], source: Path) -> None:
    """A head that differs from the embedding would be lost in a model that ties them."""
    own = language_model.state_dict(keep_vars=True)
    seen: dict[int, str] = {}
    for name, parameter in own.items():
        first = seen.setdefault(id(parameter), name)
        if not torch.equal(state[first], state[name]):
            raise UserError(
                f"source: {source} has different {first} and {name}, which its base ties; set "
                "tie_word_embeddings to false in the base's config"
            )
