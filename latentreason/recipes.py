"""Find, read, override and check recipe files."""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from latentreason.config import DataConfig, ModelConfig, PhaseConfig, Recipe, SplitConfig
from latentreason.data.augment import AUGMENTATIONS
from latentreason.errors import MissingFileError, UserError, check_choice, nearest
from latentreason.registry import entry, settings_class

SPLITS = ("data.train", "data.valid", "data.test")
DTYPES = ("float32", "bfloat16", "float16")
LEAST = {
    "method.max_new_tokens": 1,
    "optim.lr": 0,
    "optim.min_lr": 0,
    "optim.weight_decay": 0,
    "optim.eps": 0,
    "optim.warmup": 0,
    "train.batch_size": 1,
    "train.micro_batch_size": 1,
    "train.num_workers": 0,
    "train.log_every": 1,
    "train.keep_last": 1,
    "train.max_steps": 1,
    "train.length_window": 1,
    "run.seed": 0,
    "eval.limit": 1,
    "eval.batch_size": 1,
    "eval.max_new_tokens": 1,
}
"""Smallest values of numbers; null is allowed where the dataclass allows it."""


ATTENTIONS = (
    "sdpa",
    "eager",
    "flash_attention_2",
    "flash_attention_3",
    "flex_attention",
    "latentreason",
)


def recipe_folder() -> Path:
    """Where the shipped recipes lie: beside the package, under its name in a wheel."""
    beside = Path(__file__).resolve().parent.parent
    wheel = beside / "latentreason_recipes"
    return wheel if wheel.is_dir() else beside / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """Name ("coconut/prosqa_gpt2") to path of every shipped recipe."""
    folder = recipe_folder()
    files = sorted(folder.rglob("*.yaml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_recipe(name: str) -> Path:
    """Path of a recipe given by path or by the name that `latentreason ls` prints.

    Raises:
        MissingFileError: there is neither such a file nor such a name.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_recipes()
    key = re.sub(r"^recipes/|\.yaml$", "", name)
    if key in shipped:
        return shipped[key]
    raise MissingFileError(
        f'recipe: "{name}" is neither a file nor a shipped recipe{nearest(key, shipped)}; '
        "`latentreason ls` prints the names"
    )


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, apply `key=value` words, and check every key and value.

    Args:
        name: path or shipped name.
        overrides: words like "optim.lr=1e-4" or "train.phases.0.steps=5".

    Raises:
        MissingFileError: no such recipe.
        UserError: a key that does not exist (the nearest valid one is named), a value of the wrong
            type, a file that is not YAML.
    """
    path = find_recipe(name)
    return build_recipe(_read_yaml(path), overrides, source=str(path))


def build_recipe(tree: Any, overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
    """Turn a plain tree (as YAML gives it) into a checked `Recipe`."""
    if not isinstance(tree, dict):
        raise UserError(
            f"{source}: a recipe is a mapping of sections, this is {type(tree).__name__}"
        )
    words = [_split_override(word) for word in overrides]
    method = next((value for key, value in reversed(words) if key == "method.name"), None)
    section = tree.get("method")
    if not isinstance(section, dict) or ("name" not in section and method is None):
        raise UserError(f"{source}: section `method` needs a `name`")
    method = method or section["name"]
    try:
        schema = OmegaConf.structured(_schema(method))
        schema.method = OmegaConf.merge(schema.method, entry(method).preset)
        merged = OmegaConf.merge(schema, OmegaConf.create(tree))
        for key, value in words:
            if key in SPLITS and _is_another_source(OmegaConf.select(merged, key), value):
                # Nothing that belongs to the source before goes with it.
                OmegaConf.update(merged, key, SplitConfig(), merge=False)
            OmegaConf.update(merged, key, value, merge=True, force_add=False)
        merged.method.name = method
        recipe = OmegaConf.to_object(merged)
    except (ConfigKeyError, ConfigAttributeError) as error:
        raise UserError(f"{source}: {_explain_key(error, method)}") from None
    except OmegaConfBaseException as error:
        where = f"`{error.full_key}`: " if error.full_key else ""
        raise UserError(f"{source}: {where}{str(error).splitlines()[0]}") from None
    assert isinstance(recipe, Recipe)
    check_recipe(recipe, source)
    return recipe


def to_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML, as it is written into the run folder."""
    return yaml.safe_dump(dataclasses.asdict(recipe), sort_keys=False)


def expand_phases(phases: Sequence[PhaseConfig]) -> list[PhaseConfig]:
    """Replace a phase whose stage is a range ("0-5") by one phase for each stage."""
    expanded: list[PhaseConfig] = []
    for phase in phases:
        match = re.fullmatch(r"(\d+)-(\d+)", str(phase.stage))
        if match:
            stages: Iterator[int] = iter(range(int(match[1]), int(match[2]) + 1))
            expanded += [dataclasses.replace(phase, stage=stage) for stage in stages]
        else:
            expanded.append(phase)
    return expanded


def check_recipe(recipe: Recipe, source: str = "recipe") -> None:
    """Raise UserError where values contradict each other; nothing is silently ignored."""
    optim, train, run = recipe.optim, recipe.train, recipe.run
    check_choice(f"{source}: optim.schedule", optim.schedule, ("constant", "linear", "cosine"))
    check_choice(f"{source}: optim.reset", optim.reset, ("never", "stage", "epoch"))
    check_choice(f"{source}: train.precision", train.precision, ("fp32", "bf16"))
    check_choice(f"{source}: train.strategy", train.strategy, ("ddp", "deepspeed"))
    check_choice(f"{source}: run.resume", run.resume, ("auto", "never"))
    for logger in run.loggers:
        check_choice(f"{source}: run.loggers", logger, ("tensorboard", "wandb"))
    if train.ema is not None and not 0 < train.ema < 1:
        raise UserError(f"{source}: train.ema: {train.ema} is not between 0 and 1; try 0.999")
    if train.compile is not None:
        backends = ("inductor", "aot_eager", "eager")
        check_choice(f"{source}: train.compile", train.compile, backends)
        if train.strategy == "deepspeed":
            raise UserError(f"{source}: train.compile: untried under deepspeed; use strategy ddp")
    if train.deepspeed and train.strategy != "deepspeed":
        raise UserError(f"{source}: train.deepspeed is set but train.strategy is {train.strategy}")
    if not recipe.model.name and "model_type" not in recipe.model.config:
        raise UserError(f"{source}: model needs a `name`, or a `config` with `model_type`")
    _check_model(recipe.model, f"{source}: model")
    for field in dataclasses.fields(recipe.method):
        value = getattr(recipe.method, field.name)
        if isinstance(value, ModelConfig):
            _check_model(value, f"{source}: method.{field.name}")
    for key, least in LEAST.items():
        _check_least(f"{source}: {key}", operator.attrgetter(key)(recipe), least)
    for key, every in (("train.save_every", train.save_every), ("eval.every", recipe.eval.every)):
        if isinstance(every, str):
            check_choice(f"{source}: {key}", every, ("epoch",))
        else:
            _check_least(f"{source}: {key}", every, 1)
    if not all(0 <= beta < 1 for beta in optim.betas):
        raise UserError(f"{source}: optim.betas: {list(optim.betas)} are not both in [0, 1)")
    if optim.clip is not None and not optim.clip > 0:
        raise UserError(f"{source}: optim.clip: {optim.clip} is too small; null does not clip")
    if not train.phases:
        raise UserError(f"{source}: train.phases is empty; give at least one phase")
    for number, phase in enumerate(train.phases):
        _check_phase(phase, f"{source}: train.phases.{number}")
    if hasattr(recipe.method, "check_stage"):
        for phase in expand_phases(train.phases):
            recipe.method.check_stage(int(phase.stage))
    for split in _splits(recipe.data):
        _check_split(*split, source)
    recipe.method.check(source)


def _check_model(model: ModelConfig, where: str) -> None:
    check_choice(f"{where}.attn_implementation", model.attn_implementation, ATTENTIONS)
    check_choice(f"{where}.tokenizer.kind", model.tokenizer.kind, ("word", "bpe"))
    check_choice(f"{where}.dtype", model.dtype, DTYPES)
    _check_least(f"{where}.lora.rank", model.lora.rank, 0)
    if not 0 <= model.lora.dropout < 1:
        raise UserError(f"{where}.lora.dropout: {model.lora.dropout} is not in [0, 1)")
    _check_least(f"{where}.tokenizer.vocab_size", model.tokenizer.vocab_size, 1)


def _check_phase(phase: PhaseConfig, where: str) -> None:
    if (phase.epochs is None) == (phase.steps is None):
        raise UserError(f"{where}: give exactly one of `epochs` and `steps`")
    if not re.fullmatch(r"\d+(-\d+)?", str(phase.stage)):
        raise UserError(f'{where}.stage: "{phase.stage}" is neither a stage like 3 nor a range 0-5')
    if not expand_phases([phase]):
        raise UserError(
            f'{where}.stage: "{phase.stage}" is an empty range; write the lower one first'
        )
    if phase.epochs is not None and not 0 < phase.epochs < math.inf:
        raise UserError(f"{where}.epochs: {phase.epochs} is no number of epochs; give more than 0")
    if phase.until_loss is not None and not phase.until_loss > 0:
        raise UserError(
            f"{where}.until_loss: {phase.until_loss} is never reached; give more than 0"
        )
    if phase.until_loss is not None and phase.steps is not None and phase.window > phase.steps:
        raise UserError(
            f"{where}.window: {phase.window} steps are more than the phase has ({phase.steps}), so "
            "until_loss is never reached"
        )
    for name, least in (("steps", 1), ("window", 1), ("lr", 0)):
        _check_least(f"{where}.{name}", getattr(phase, name), least)


def _check_least(argument: str, value: float | None, least: int) -> None:
    if value is None:
        return
    if not math.isfinite(value):
        raise UserError(f"{argument}: {value} is no finite number; give {least} or more")
    if value < least:
        raise UserError(f"{argument}: {value} is too small; give {least} or more")


def _check_split(name: str, split: SplitConfig, source: str) -> None:
    where = f"{source}: data.{name}"
    if (split.reader is None) == (split.generator is None):
        raise UserError(f"{where}: give exactly one of `reader` (with `file`) and `generator`")
    if split.reader and not split.file:
        raise UserError(f"{where}: reader {split.reader} needs a `file`")
    if split.generator and not split.size:
        raise UserError(f"{where}: generator {split.generator} needs a `size`")
    if split.augment is not None:
        check_choice(f"{where}.augment", split.augment, AUGMENTATIONS)
        if name != "train":
            raise UserError(f"{where}.augment: only the train split is drawn anew; leave it out")


def _is_another_source(split: Any, value: Any) -> bool:
    named = [key for key in ("reader", "generator") if isinstance(value, dict) and value.get(key)]
    return any(split is None or split[key] != value[key] for key in named)


def _splits(data: DataConfig) -> list[tuple[str, SplitConfig]]:
    pairs = [("train", data.train), ("valid", data.valid), ("test", data.test)]
    return [(name, split) for name, split in pairs if split is not None]


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not UTF-8"
        raise UserError(f"{path}{line}: not valid YAML ({problem})") from None


def _schema(method: str) -> type:
    """The Recipe dataclass with the `method` section typed by the method."""
    settings = settings_class(method)
    return dataclasses.make_dataclass(
        "Recipe",
        [("method", settings, dataclasses.field(default_factory=settings))],
        bases=(Recipe,),
    )


def _split_override(word: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise UserError(f'override: "{word}" is not of the form key=value')
    try:
        return key, yaml.safe_load(_number(value))
    except yaml.YAMLError:
        return key, value


def _number(value: str) -> str:
    """YAML 1.1 reads 1e-4 as a word; write it as YAML knows it."""
    return repr(float(value)) if re.fullmatch(r"[-+]?\d+(\.\d+)?[eE][-+]?\d+", value) else value


def _explain_key(error: OmegaConfBaseException, method: str) -> str:
    full = str(error.full_key or error.key)
    parent, _, key = re.sub(r"\[(\d+)\]", r".\1", full).rpartition(".")
    valid = _fields_at(_schema(method), parent)
    prefix = f"{parent}." if parent else ""
    guess = nearest(key, valid).replace('"', f'"{prefix}', 1)
    return f'unknown key "{full}"{guess}; allowed here: {", ".join(valid)}'


def _fields_at(schema: type, parent: str) -> list[str]:
    node: Any = OmegaConf.structured(schema)
    for part in filter(None, parent.split(".")):
        if part.isdigit():
            node = OmegaConf.structured(PhaseConfig)
        else:
            child = OmegaConf.select(node, part)
            # An absent optional section is a split: nothing else in the tree may be null.
            node = OmegaConf.structured(SplitConfig) if child is None else child
    return [str(key) for key in node]
