"""Find a checkpoint and load it, whatever method it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from latentreason.backbones.load import DTYPES, is_latent_checkpoint
from latentreason.config import ModelConfig
from latentreason.errors import MissingFileError, UserError, check_choice
from latentreason.modeling import LatentModel


def load(name: str | Path, *, device: Any = None, dtype: Any = None) -> LatentModel:
    """Load a checkpoint for evaluation, by directory or hub name.

    Args:
        name: a latentreason checkpoint; a run folder (its best checkpoint, else its last, is taken);
            or any causal LM, which then answers in words.
        device: where the model is put; None leaves it on the CPU, or CUDA where there is one.
        dtype: torch dtype or its name; None keeps what is stored.

    Raises:
        MissingFileError: there is no such checkpoint.
        UserError: it was written by a newer version.
    """
    from latentreason.methods.text.model import Model as TextModel
    from latentreason.registry import register_all

    register_all()
    path = checkpoint_folder(str(name))
    try:
        device = device if device is None else torch.device(device)
    except RuntimeError:
        raise UserError(f'device: "{device}" is no device; give cpu, cuda or cuda:1, say') from None
    if device is not None and device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device: {device} was asked for, and this machine or torch has no CUDA")
    if isinstance(dtype, str):
        check_choice("dtype", dtype, DTYPES)
        dtype = DTYPES[dtype]
    options = {} if dtype is None else {"dtype": dtype}
    if Path(path).is_dir() and not is_latent_checkpoint(path):
        model: Any = TextModel.from_causal_lm(path, **options)
    else:
        try:
            model = AutoModelForCausalLM.from_pretrained(path, **options)
        except (OSError, ValueError, SafetensorError) as error:
            if isinstance(error, UserError):
                raise
            reason = str(error).strip().splitlines()[0]
            raise MissingFileError(f'checkpoint: "{name}" cannot be loaded ({reason})') from error
        if not isinstance(model, LatentModel):
            model = TextModel.from_causal_lm(path, **options)
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval()


def checkpoint_folder(name: str) -> str:
    """Follow a run folder to its best or last checkpoint; hub names pass through."""
    path = Path(name)
    if not path.exists():
        # "runs/x" with a folder runs/ is a mistyped path, not a repository of the hub.
        local = name.startswith((".", "/")) or name.count("/") != 1
        if local or Path(name).parent.is_dir():
            raise MissingFileError(f'checkpoint: "{name}" does not exist')
        return name
    for inner in (path, path / "best", path / "last"):
        if (inner / "config.json").is_file():
            return str(inner)
    raise MissingFileError(
        f'checkpoint: "{name}" has no config.json and no `best` or `last` checkpoint in it'
    )


def pinned_base(section: ModelConfig, backbone: Any) -> dict[str, Any]:
    """Name, revision and overrides of a backbone, such that loading them later gives the same.

    A run folder's `best` moves on, and so does a hub branch: the checkpoint's own folder and the
    hub's commit do not.
    """
    name, revision = str(section.name), section.revision
    if Path(name).exists():
        name = str(Path(checkpoint_folder(name)).resolve())
    else:
        revision = getattr(backbone.config, "_commit_hash", None) or revision
    return {
        "name": name,
        "revision": revision,
        "config": dict(section.config),
        "dtype": section.dtype,
    }
