"""From a recipe to a trained checkpoint."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from latentreason.backbones import build_backbone
from latentreason.backbones.load import ATTENTION
from latentreason.backbones.lora import add_adapters
from latentreason.card import git_commit, provenance
from latentreason.config import Recipe
from latentreason.data import load_split
from latentreason.data.example import Example
from latentreason.decoding.sampling import key
from latentreason.errors import DataError, UserError
from latentreason.loading import pinned_base
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
        validate: (model, examples) -> figures with "accuracy"; called on the `valid` split, which is
            not read without it (the command line passes the evaluator's).

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
    main = strategy.main
    try:
        state = _train(recipe, folder, strategy, validate)
    finally:
        strategy.close()
    best = folder / "best"
    return TrainResult(folder, best if best.exists() else folder / "last", state, main)


def _train(
    recipe: Recipe, folder: Path, strategy: Strategy, validate: Validate | None
) -> TrainerState:
    examples = load_split(recipe.data.train, recipe.data.root)
    for example in examples:
        if not example.answer.strip():
            raise DataError(f"data.train: example {example.meta['id']} has an empty answer")
    valid = _valid_examples(recipe)
    torch.manual_seed(recipe.run.seed)
    model = build_model(recipe, examples)
    model.config.provenance = provenance(recipe.data)
    model.prepare(recipe, examples, strategy)
    torch.manual_seed(key(recipe.run.seed, strategy.rank))
    if strategy.main:
        Checkpoints(folder).recover()
    strategy.barrier()
    check_same_run(folder, recipe)
    strategy.barrier()
    if strategy.main:
        _write_provenance(folder, recipe)
    strategy.barrier()
    return Trainer(recipe, model, examples, valid, folder, strategy, validate).run()


def check_same_run(folder: Path, recipe: Recipe) -> None:
    """Raise UserError where a run to be resumed was begun with what this recipe says otherwise.

    Phases, learning rates and the strategy may change; what the position in the data and the
    meaning of the weights hang on may not.
    """
    written = folder / "recipe.yaml"
    if Checkpoints(folder).latest() is None or not written.is_file():
        return
    theirs = yaml.safe_load(written.read_text(encoding="utf-8"))
    ours = yaml.safe_load(to_yaml(recipe))
    for path in (
        "method",
        "model",
        "data.train",
        "run.seed",
        "train.batch_size",
        "train.length_window",
    ):
        before, now = theirs, ours
        for part in path.split("."):
            before, now = (before or {}).get(part), now[part]
        if before != now:
            raise UserError(
                f"{path}: {folder} was begun with {_first_difference(before, now)}; resume it with "
                "the same, or give another run.name"
            )


def _first_difference(before: Any, now: Any, prefix: str = "") -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in now:
            if before.get(name) != now[name]:
                return _first_difference(before.get(name), now[name], f"{prefix}{name}: ")
    return f"{prefix}{before!r}, not {now!r}"


def build_model(recipe: Recipe, examples: Sequence[Example]) -> LatentModel:
    """The recipe's untrained model; a tokenizer is trained on `examples` where it asks for one."""
    section, method = recipe.model, model_class(recipe.method.name)
    if method.frozen and not section.name:
        raise UserError(
            f"model.name: method {recipe.method.name} leaves the model as it is, so it has to be "
            "pretrained; name it"
        )
    backbone, tokenizer = build_backbone(section, _texts(recipe, examples))
    rows = len(tokenizer)
    model = method.create(recipe.method, backbone, tokenizer)
    _check_attention(section.attn_implementation, backbone)
    # Flash attention takes CUDA tensors only, and the model is not on its device yet.
    if section.attn_implementation in ("sdpa", "eager"):
        model.check_backbone()
    if section.name:
        model.config.base_model = pinned_base(section, backbone)
    if section.lora.rank:
        if not section.name:
            raise UserError("model.lora: adapters need a pretrained base; give model.name")
        model.language_model = add_adapters(
            model.language_model, section.lora, range(rows, len(tokenizer))
        )
    return model


def _check_attention(implementation: str, backbone: Any) -> None:
    names = ("attention_dropout", "attn_pdrop", "attn_dropout")
    dropped = [name for name in names if getattr(backbone.config, name, 0.0)]
    if implementation == ATTENTION and dropped:
        raise UserError(
            f"model.attn_implementation: {ATTENTION} has no attention dropout; set "
            f"model.config.{dropped[0]}=0"
        )


def _texts(recipe: Recipe, examples: Sequence[Example]) -> Iterator[str]:
    """What a tokenizer is trained on: the train split as the prompt renders it."""
    prompt = recipe.method.prompt
    for example in examples:
        yield prompt.question.replace("{question}", example.question)
        yield from (prompt.step.replace("{step}", step) for step in example.steps)
        yield prompt.answer.replace("{answer}", example.answer)


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
