"""What others have trained, in our checkpoint format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentreason.backbones.load import is_latent_checkpoint
from latentreason.card import command_line, git_commit
from latentreason.errors import UserError, check_new_folder
from latentreason.recipes import build_recipe
from latentreason.registry import model_class


def convert(
    source: str | Path,
    out: str | Path,
    *,
    method: str,
    stage: int,
    num_thoughts: int,
    base: str | None = None,
    settings: Sequence[str] = (),
) -> None:
    """Write a foreign checkpoint to the folder `out` in our format.

    Args:
        source: what the method's authors, or others, have saved.
        out: the folder to write; it must not hold a model.
        method: registry name of the method it was trained with.
        stage: the curriculum stage it was trained to.
        num_thoughts: continuous thoughts per question at inference.
        base: hub name or directory of the backbone, where `source` holds tensors only.
        settings: "key=value" words of the recipe's `method` section.

    Raises:
        MissingFileError: there is no such source.
        UserError: the method has no converter, the source does not fit, or `out` is taken.
    """
    check_new_folder("out", out)
    for argument, value in (("stage", stage), ("num_thoughts", num_thoughts)):
        if value < 0:
            raise UserError(f"{argument}: {value} is negative")
    if is_latent_checkpoint(str(source)):
        raise UserError(f"source: {source} is a latentreason checkpoint already")
    recipe = build_recipe(
        {
            "method": {"name": method},
            # The sections below are not read: a method's settings are checked as part of a recipe.
            "model": {"name": str(source)},
            "data": {"train": {"reader": "json", "file": str(source)}},
        },
        [f"method.{word}" for word in settings],
        source="settings",
    )
    model = model_class(method).convert(Path(source), recipe.method, base, stage, num_thoughts)
    for name in (word.partition("=")[0] for word in settings):
        asked, made = getattr(recipe.method, name, None), getattr(model.config, name, None)
        if made is not None and name != "prompt" and made != asked:
            raise UserError(
                f"settings: {name}={asked} does not go with stage {stage} and {num_thoughts} thoughts, "
                f"which have {name}={made}; leave it out"
            )
    model.config.provenance = {
        "source": Path(source).name,
        "command": command_line(),
        "commit": git_commit(),
    }
    model.save_pretrained(out)
