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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from runs import losses
from tiny import backbone_config

from latentreason.backbones import add_tokens, build_backbone
from latentreason.config import ModelConfig, PhaseConfig, Recipe, SplitConfig, TokenizerConfig
from latentreason.data import load_split, write_examples
from latentreason.methods.softcot.prompt import resolve
from latentreason.recipes import expand_phases, load_recipe, shipped_recipes
from latentreason.training import train

GOLDEN = Path(__file__).resolve().parents[1] / "recipes" / "golden.json"
GRAPH_WORDS = " ".join([*map(str, range(31)), "| [Q] [R] ###"])
SIZES = {"train": 12, "valid": 3, "test": 3}
ROWS = 152_000
"""Rows of an embedding whose rows a recipe names by number; the largest real one has these."""
CHAT = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


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
    made = Base(GRAPH_WORDS if symbolic else None, *_prompt_tokens(recipe.method))
    recipe.model = _shrink_model(recipe.model, folder / "base", made)
    _shrink_models_of(recipe.method, folder, made)
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
    if "exclude" in split.options:
        other = folder / "exclude.txt"
        _write_gsm8k_aug(other, "valid")
        split.options = {**split.options, "exclude": str(other)}


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


def _write_aqua(path: Path, part: str) -> None:
    rows = [
        {
            "question": f"A {part} shelf holds {a} books and gets 3 more. How many?",
            "options": [f"{letter}){a + place}" for place, letter in enumerate("ABCDE")],
            "rationale": f"It holds {a} + 3 = {a + 3} books.\nThe answer is D.",
            "correct": "D",
        }
        for a in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _write_strategyqa(path: Path, part: str) -> None:
    rows = [
        {
            "question": f"Would a {part} shelf for {a} books hold ten?",
            "answer": a >= 10,
            "facts": [f"It holds {a} books.", "Ten books are ten."],
        }
        for a in range(20)
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")


WRITERS: dict[str, Callable[[Path, str], None]] = {
    "json": _write_generated("state_tracking"),
    "prosqa": _write_generated("prosqa"),
    "prosqa_symbolic": _write_generated("prosqa"),
    "prontoqa": _write_generated("prontoqa"),
    "gsm8k_aug": _write_gsm8k_aug,
    "gsm8k": _write_gsm8k,
    "aqua": _write_aqua,
    "strategyqa": _write_strategyqa,
}
"""A synthetic file of each reader's schema."""


@dataclasses.dataclass(frozen=True)
class Base:
    """What a tiny pretrained model has to have.

    Attributes:
        words: of a tokenizer of whole words; None has a byte-level one.
        tokens: special tokens that the recipe's prompt names.
        chat: has a chat template.
        rows: least number of rows of its embedding.
    """

    words: str | None = None
    tokens: Sequence[str] = ()
    chat: bool = False
    rows: int = 0


def _prompt_tokens(method: Any) -> tuple[list[str], bool]:
    """Special tokens that a method's prompt takes from a family of models, and whether it chats."""
    if not hasattr(method.prompt, "family"):
        return [], False
    prompt = resolve(method.prompt)
    named = [prompt.placeholder, prompt.assistant_placeholder, prompt.begin, prompt.end]
    return sorted({token for token in named if token}), prompt.chat_template


def _shrink_models_of(method: Any, folder: Path, made: Base) -> None:
    """A method's own models: an assistant, say."""
    for field in dataclasses.fields(method):
        value = getattr(method, field.name)
        if isinstance(value, ModelConfig):
            own = dataclasses.replace(made, rows=ROWS if made.chat else 0)
            setattr(method, field.name, _shrink_model(value, folder / field.name, own))


def _shrink_model(model: ModelConfig, folder: Path, made: Base) -> ModelConfig:
    lora = dataclasses.replace(model.lora, rank=min(model.lora.rank, 4), dropout=0.0)
    model = dataclasses.replace(model, dtype="float32", attn_implementation="sdpa", lora=lora)
    if model.name is None:
        family = model.config["model_type"]
        tie = model.config.get("tie_word_embeddings", True)
        return dataclasses.replace(model, config=backbone_config(family, tie, 2048))
    _save_base(_family(model.name), folder, made)
    return dataclasses.replace(model, name=str(folder), revision=None)


def _family(name: str) -> str:
    found = [family for family in ("llama", "qwen3", "qwen2") if family in name.lower()]
    return found[0] if found else "gpt2"


def _save_base(family: str, folder: Path, made: Base) -> None:
    """A tiny pretrained model of the family."""
    torch.manual_seed(0)
    section = ModelConfig(
        config=backbone_config(family, positions=2048),
        tokenizer=TokenizerConfig(kind="word" if made.words else "bpe", vocab_size=300),
    )
    model, tokenizer = build_backbone(
        section, [made.words or "every book is a shelf of numbers"] * 3
    )
    add_tokens(model, tokenizer, ["<<", *made.tokens], init="random")
    if made.rows:
        model.resize_token_embeddings(made.rows, mean_resizing=False)
    if made.chat:
        tokenizer.chat_template = CHAT
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


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
