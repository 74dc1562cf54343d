"""Any recipe made small enough to train two steps in a test: its own keys, a tiny backbone, little data.

    PYTHONPATH=tests/support:.:kernels:eval:launch python tests/support/shrink.py --write [NAME ...]

trains every shipped recipe (or those named) so, and writes the losses to tests/recipes/golden.json.
Do it when a change of the losses is meant, and say in the commit why they changed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from runs import losses
from tiny import backbone_config

from latentreason.backbones import add_tokens, build_backbone
from latentreason.config import ModelConfig, PhaseConfig, Recipe, SplitConfig, TokenizerConfig
from latentreason.data import load_split, write_examples
from latentreason.recipes import expand_phases, load_recipe, shipped_recipes
from latentreason.training import train

GOLDEN = Path(__file__).resolve().parents[1] / "recipes" / "golden.json"
GRAPH_WORDS = " ".join([*map(str, range(31)), "| [Q] [R] ###"])
SIZES = {"train": 12, "valid": 3, "test": 3}


def shrink(name: str, folder: Path) -> Recipe:
    """The shipped recipe `name` with a tiny backbone, twelve examples and two steps.

    What its author chose stays (method, optimiser, tokenizer, order of stages, LoRA): the first step
    is laid out for the first stage, the second for the last.
    """
    recipe = load_recipe(name)
    for split in SIZES:
        if getattr(recipe.data, split) is not None:
            _shrink_split(getattr(recipe.data, split), split, folder)
    symbolic = recipe.data.train.options.get("form") == "symbolic"
    recipe.model = _shrink_model(recipe.model, folder, GRAPH_WORDS if symbolic else None)
    first, *_, last = expand_phases(recipe.train.phases * 2)
    recipe.train = dataclasses.replace(
        recipe.train,
        phases=[PhaseConfig(stage=phase.stage, steps=1, lr=phase.lr) for phase in (first, last)],
        batch_size=4,
        micro_batch_size=None,
        precision="fp32",
        strategy="ddp",
        deepspeed=None,
        num_workers=0,
        log_every=1,
        save_every=None,
        max_steps=None,
    )
    recipe.eval.every, recipe.eval.limit = None, 2
    recipe.run.root, recipe.run.loggers = str(folder), []
    return recipe


def two_losses(name: str, folder: Path, validate: Any = None) -> list[float]:
    """Train the shrunken recipe and return its loss curve."""
    return losses(train(shrink(name, folder), validate).folder)


def _shrink_split(split: SplitConfig, name: str, folder: Path) -> None:
    split.size = SIZES[name]
    if split.reader is not None:
        path = folder / f"{name}-{Path(split.file or '').name.removesuffix('.gz')}"
        WRITERS[split.reader](path, name)
        split.file = str(path)


def _write_generated(generator: str) -> Callable[[Path, str], None]:
    def write(path: Path, part: str) -> None:
        split = SplitConfig(generator=generator, size=60, options={"part": part})
        write_examples(load_split(split), path)

    return write


def _write_gsm8k_aug(path: Path, part: str) -> None:
    lines = []
    for a in range(20):
        b, c = a % 7 + 1, a % 3 + 2
        total = (a + b) * c
        steps = f"<<{a}+{b}={a + b}>> <<{a + b}*{c}={total}>>"
        question = f"A {part} shelf holds {a} books and gets {b} more, {c} times over. How many?"
        lines.append(f"{question}||{steps} #### {total}\n")
    path.write_text("".join(lines), encoding="utf-8")


def _write_gsm8k(path: Path, part: str) -> None:
    rows = [
        {
            "question": f"A {part} shelf holds {a} books and gets 3 more. How many?",
            "answer": f"It holds {a} + 3 = <<{a}+3={a + 3}>>{a + 3} books.\n#### {a + 3}",
        }
        for a in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, str], None]] = {
    "json": _write_generated("state_tracking"),
    "prosqa": _write_generated("prosqa"),
    "prosqa_symbolic": _write_generated("prosqa"),
    "prontoqa": _write_generated("prontoqa"),
    "gsm8k_aug": _write_gsm8k_aug,
    "gsm8k": _write_gsm8k,
}
"""A synthetic file of each reader's schema."""


def _shrink_model(model: ModelConfig, folder: Path, words: str | None) -> ModelConfig:
    lora = dataclasses.replace(model.lora, rank=min(model.lora.rank, 4), dropout=0.0)
    model = dataclasses.replace(model, dtype="float32", attn_implementation="sdpa", lora=lora)
    if model.name is None:
        family = model.config["model_type"]
        tie = model.config.get("tie_word_embeddings", True)
        return dataclasses.replace(model, config=backbone_config(family, tie, 2048))
    base = folder / "base"
    _save_base(_family(model.name), base, words)
    return dataclasses.replace(model, name=str(base), revision=None)


def _family(name: str) -> str:
    found = [family for family in ("llama", "qwen3", "qwen2") if family in name.lower()]
    return found[0] if found else "gpt2"


def _save_base(family: str, base: Path, words: str | None) -> None:
    """A tiny pretrained model of the family, with a byte-level tokenizer or one of whole words."""
    torch.manual_seed(0)
    made = ModelConfig(
        config=backbone_config(family, positions=2048),
        tokenizer=TokenizerConfig(kind="word" if words else "bpe", vocab_size=300),
    )
    model, tokenizer = build_backbone(made, [words or "every book is a shelf of numbers"] * 3)
    add_tokens(model, tokenizer, ["<<"], init="random")
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--write", action="store_true", help="write golden.json; else print")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    for name in arguments.names or shipped_recipes():
        with tempfile.TemporaryDirectory() as folder:
            golden[name] = two_losses(name, Path(folder))
        print(name, golden[name])
    if arguments.write:
        golden = {name: golden[name] for name in sorted(golden) if name in shipped_recipes()}
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
