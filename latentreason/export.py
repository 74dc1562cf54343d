"""A checkpoint's backbone as an ordinary Hugging Face directory."""

from __future__ import annotations

from pathlib import Path

from latentreason.backbones.load import is_latent_checkpoint
from latentreason.errors import UserError, check_new_folder
from latentreason.loading import checkpoint_folder, load


def export_backbone(checkpoint: str | Path, out: str | Path) -> None:
    """Write the backbone of `checkpoint` to `out`; adapters are merged.

    Raises:
        UserError: `checkpoint` is an ordinary model already, or `out` holds a model or is a file.
        MissingFileError: there is no such checkpoint.
    """
    check_new_folder("out", out)
    folder = checkpoint_folder(str(checkpoint))
    if Path(folder).is_dir() and not is_latent_checkpoint(folder):
        raise UserError(
            f"checkpoint: {checkpoint} is not a latentreason checkpoint; it is an ordinary model already"
        )
    load(folder, device="cpu").export(out)
