"""Load or build the language model that a method reasons with."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from latentreason.backbones.precision import cast
from latentreason.backbones.tokenizers import train_tokenizer
from latentreason.config import ModelConfig
from latentreason.errors import MissingFileError, UserError, check_choice, nearest

ATTENTION = "latentreason"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def build_backbone(config: ModelConfig, texts: Iterable[str]) -> tuple[Any, Any]:
    """Return (language model, tokenizer) as the recipe's `model` section asks.

    Args:
        config: a hub name, a directory or a from-scratch config.
        texts: what a tokenizer is trained on, where one is to be trained.

    Raises:
        MissingFileError: the named model can be found neither as a directory nor on the hub.
        UserError: a from-scratch config that transformers does not accept.
    """
    if config.attn_implementation == ATTENTION:
        register_attention()
    if config.name:
        return load_backbone(config)
    tokenizer_config = config.tokenizer
    if tokenizer_config.name:
        tokenizer = load_tokenizer(tokenizer_config.name)
    else:
        tokenizer = train_tokenizer(texts, tokenizer_config.kind, tokenizer_config.vocab_size)
    return _from_scratch(config, tokenizer), tokenizer


def load_backbone(config: ModelConfig) -> tuple[Any, Any]:
    """Load a pretrained causal LM and its tokenizer by name or directory.

    A latentreason checkpoint gives its backbone, so that one method starts where another ended.
    """
    from latentreason.loading import load
    from latentreason.modeling import LatentModel

    assert config.name
    check_choice("model.dtype", config.dtype, DTYPES)
    if is_latent_checkpoint(config.name):
        for field, value in (
            ("tokenizer.name", config.tokenizer.name),
            ("revision", config.revision),
        ):
            if value is not None:
                raise UserError(
                    f"model.{field}: {config.name} is a latentreason checkpoint and brings its own; "
                    "leave it out"
                )
        source = load(config.name, dtype=DTYPES[config.dtype])
        assert isinstance(source, LatentModel)
        own = [n for n, _ in source.named_parameters() if not n.startswith("language_model.")]
        if own:
            raise UserError(
                f"model.name: {config.name} has {own[0]} beside its backbone, which a new model would "
                "drop; start from a checkpoint without"
            )
        backbone = source.merged_backbone()
        if config.config:
            backbone = _rebuilt(backbone, config)
        backbone.set_attn_implementation(config.attn_implementation)
        return backbone, source.tokenizer
    settings = _from_hub(AutoConfig, config.name, revision=config.revision)
    _override(settings, config)
    model = load_causal_lm(
        config.name,
        revision=config.revision,
        config=settings,
        dtype=DTYPES[config.dtype],
        attn_implementation=config.attn_implementation,
    )
    if config.config.get("tie_word_embeddings"):
        # transformers 5 leaves two tables that differ as they are, whatever the config says.
        model.get_output_embeddings().weight = model.get_input_embeddings().weight
    return model, load_tokenizer(config.tokenizer.name or config.name, config.revision)


def load_causal_lm(name: str, **options: Any) -> Any:
    """A causal LM by hub name or directory, with `options` of transformers' `from_pretrained`.

    Raises:
        MissingFileError: there is none.
        UserError: some of its weights are not there, which transformers would draw at random.
    """
    model, report = _from_hub(AutoModelForCausalLM, name, output_loading_info=True, **options)
    check_complete(name, report)
    return model


def check_complete(name: Any, report: dict[str, Any]) -> None:
    """Raise UserError where transformers' loading report lists weights that were not found."""
    missing = sorted(report["missing_keys"])
    if missing:
        others = f" and {len(missing) - 1} more of its weights" if missing[1:] else ""
        raise UserError(
            f"checkpoint: {name} lacks {missing[0]}{others}, or has them under other names; random "
            "numbers would take their place"
        )


def load_tokenizer(name: str, revision: str | None = None) -> Any:
    """A tokenizer by hub name or directory, with a pad token (EOS where it has none)."""
    tokenizer = _from_hub(AutoTokenizer, name, revision=revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def register_attention() -> None:
    """Make `attn_implementation="latentreason"` known to transformers."""
    from latentreason_kernels.registration import register

    register()


def is_latent_checkpoint(name: str) -> bool:
    """Whether `name` is a local checkpoint of a latentreason method, or a run folder with one."""
    for folder in (Path(name), Path(name, "best"), Path(name, "last")):
        file = folder / "config.json"
        if file.is_file():
            try:
                return "format_version" in json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UserError(f"checkpoint: {file} is not valid JSON ({error})") from error
    return False


def _override(settings: Any, config: ModelConfig) -> None:
    for key, value in config.config.items():
        if not hasattr(settings, key):
            raise UserError(f"model.config.{key}: the config of {config.name} has no such value")
        setattr(settings, key, value)


def _rebuilt(model: Any, config: ModelConfig) -> Any:
    """The same weights under an overridden config: layers read it when they are made."""
    settings = copy.deepcopy(model.config)
    _override(settings, config)
    fresh = cast(AutoModelForCausalLM.from_config(settings), model.dtype).to(model.device)
    try:
        fresh.load_state_dict(model.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"model.config: the weights of {config.name} do not fit ({_first_mismatch(error)})"
        ) from error
    if settings.tie_word_embeddings:
        # Both tables went into the one; the outputs' came last.
        with torch.no_grad():
            fresh.get_input_embeddings().weight.copy_(model.get_input_embeddings().weight)
    return fresh


def _first_mismatch(error: RuntimeError) -> str:
    """torch's first line about a weight, without the heading and the others."""
    lines = str(error).strip().splitlines()
    return lines[min(1, len(lines) - 1)].strip()


def _from_hub(auto: Any, name: str, **options: Any) -> Any:
    try:
        return auto.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        reason = str(error).strip().splitlines()[0]
        raise MissingFileError(
            f'"{name}" cannot be loaded as a directory or hub name ({reason})'
        ) from error
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise UserError(
            f"model.config: the weights of {name} do not fit (transformers' report lists them)"
        ) from error


def _from_scratch(config: ModelConfig, tokenizer: Any) -> Any:
    settings = {**config.config, "vocab_size": len(tokenizer)}
    settings |= {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    try:
        built = AutoConfig.for_model(settings.pop("model_type"), **settings)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UserError(f"model.config: {' '.join(str(error).split())[:300]}") from error
    # A config keeps whatever it is given, so the values that it has by itself are the valid ones.
    valid = {*type(built)().to_dict(), *built.attribute_map}
    unknown = [key for key in config.config if key not in valid]
    if unknown:
        raise UserError(
            f"model.config.{unknown[0]}: {built.model_type} has no such value"
            f"{nearest(unknown[0], valid)}"
        )
    model = AutoModelForCausalLM.from_config(built, attn_implementation=config.attn_implementation)
    return cast(model, DTYPES[config.dtype])
