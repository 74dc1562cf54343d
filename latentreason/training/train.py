"""From a recipe to a trained checkpoint."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from latentreason.backbones import build_backbone
from latentreason.backbones.lora import add_adapters
from latentreason.card import git_commit, provenance
from latentreason.config import Recipe
from latentreason.data import load_split
from latentreason.data.example import Example
from latentreason.decoding.sampling import key
from latentreason.errors import UserError
from latentreason.modeling import LatentModel
from latentreason.recipes import to_yaml
from latentreason.registry import model_class, register_all
from latentreason.training.checkpoints import Checkpoints
from latentreason.training.state import TrainerState
from latentreason.training.strategy import Strategy
from latentreason.training.trainer import Trainer, Validate

PACKAGES = (
    "latentreason",
    "torch",
    "transformers",
    "accelerate",
    "deepspeed",
    "peft",
    "tokenizers",
)


@dataclass(frozen=True)
class TrainResult:
    """Where a run ended.

    Attributes:
        folder: the run folder.
        checkpoint: its best checkpoint, else its last.
        state: the trainer's state.
        main: whether this rank is the one that speaks.
    """

    folder: Path
    checkpoint: Path
    state: TrainerState
    main: bool


def train(recipe: Recipe, validate: Validate | None = None) -> TrainResult:
    """Train a recipe; go on from the last complete checkpoint where the run folder has one.

    Args:
        recipe: of `latentreason.load_recipe`.
        validate: (model, examples) -> figures with "accuracy"; called on the `valid` split.

    Raises:
        UserError: the recipe cannot be run as it stands.
    """
    register_all()
    folder = Path(recipe.run.root) / recipe.run.name
    if recipe.run.resume == "never" and Checkpoints(folder).latest() is not None:
        raise UserError(
            f"run.resume: {folder} has checkpoints; remove them or give another run.name"
        )
    strategy = Strategy(recipe.train, recipe.optim)
    examples = load_split(recipe.data.train, recipe.data.root)
    valid = _valid_examples(recipe)
    torch.manual_seed(recipe.run.seed)
    model = build_model(recipe, examples)
    model.config.provenance = provenance(recipe.data)
    torch.manual_seed(key(recipe.run.seed, strategy.rank))
    if strategy.main:
        Checkpoints(folder).recover()
        _write_provenance(folder, recipe)
    strategy.barrier()
    main = strategy.main
    trainer = Trainer(recipe, model, examples, valid, folder, strategy, validate)
    try:
        state = trainer.run()
    finally:
        strategy.close()
    best = folder / "best"
    return TrainResult(folder, best if best.exists() else folder / "last", state, main)


def build_model(recipe: Recipe, examples: Sequence[Example]) -> LatentModel:
    """The recipe's untrained model; a tokenizer is trained on `examples` where it asks for one."""
    section = recipe.model
    backbone, tokenizer = build_backbone(section, _texts(recipe, examples))
    rows = len(tokenizer)
    model = model_class(recipe.method.name).create(recipe.method, backbone, tokenizer)
    model.check_backbone()
    if section.name:
        model.config.base_model = {"name": section.name, "revision": section.revision}
    if section.lora.rank:
        if not section.name:
            raise UserError("model.lora: adapters need a pretrained base; give model.name")
        model.language_model = add_adapters(
            model.language_model, section.lora, range(rows, len(tokenizer))
        )
    return model


def _texts(recipe: Recipe, examples: Sequence[Example]) -> list[str]:
    """What a tokenizer is trained on: the train split as the prompt renders it."""
    prompt = recipe.method.prompt
    texts = []
    for example in examples:
        texts.append(prompt.question.replace("{question}", example.question))
        texts += [prompt.step.replace("{step}", step) for step in example.steps]
        texts.append(prompt.answer.replace("{answer}", example.answer))
    return texts


def _valid_examples(recipe: Recipe) -> list[Example]:
    if recipe.data.valid is None:
        return []
    return load_split(recipe.data.valid, recipe.data.root)[: recipe.eval.limit]


def _write_provenance(folder: Path, recipe: Recipe) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    record = {"python": platform.python_version(), "commit": git_commit()}
    for package in PACKAGES:
        try:
            record[package] = version(package)
        except PackageNotFoundError:
            continue
    (folder / "versions.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
