"""What the evaluator's tests share: a model that answers by arithmetic, small data, real files."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latentreason.data.example import Example
from latentreason.errors import UserError


@dataclass
class FakeGeneration:
    """The fields of `latentreason.Generation` that the evaluator reads."""

    text: str
    num_thoughts: int
    num_steps: int
    num_tokens: int
    prompt_tokens: int
    prompt_index: int
    sample_index: int
    finish_reason: str = "stop"


class FakeModel:
    """Adds the numbers of the question; wrong where the row, sample or thought mode says so.

    Attributes:
        calls: the prompts of every generate call.
        wrong: rows that are answered wrongly.
    """

    thought_modes = ("normal", "none", "zero", "shuffle")

    def __init__(self, wrong: set[int] | None = None) -> None:
        self.config = SimpleNamespace(num_thoughts=3, method_name="fake")
        self.wrong = wrong or set()
        self.calls: list[list[str]] = []
        self.arguments: list[dict[str, Any]] = []

    def num_parameters(self) -> int:
        return 1000

    def generate(self, prompts: list[str], **arguments: Any) -> list[FakeGeneration]:
        self.calls.append(list(prompts))
        self.arguments.append(arguments)
        thoughts = arguments["num_thoughts"]
        thoughts = self.config.num_thoughts if thoughts is None else thoughts
        if arguments["thought_mode"] == "none":
            thoughts = 0
        found = []
        for place, prompt in enumerate(prompts):
            row = arguments["ids"][place]
            for sample in range(arguments["num_samples"]):
                total = sum(int(word) for word in prompt.split() if word.isdigit())
                if row in self.wrong or arguments["thought_mode"] == "zero" or sample % 2:
                    total += 1
                text = f"### {total}"
                words = len(prompt.split())
                found.append(FakeGeneration(text, thoughts, 0, 2, words, place, sample))
        return found


@pytest.fixture
def fake_model() -> type[FakeModel]:
    """The class of the model that adds."""
    return FakeModel


@pytest.fixture
def sums() -> list[Example]:
    """Thirty questions of different lengths, answered by a sum."""
    rows = [[row % 7, *range(row % 5), row] for row in range(30)]
    return [
        Example("add " + " ".join(map(str, row)), (), str(sum(row)), {"id": f"q{number}"})
        for number, row in enumerate(rows)
    ]


@pytest.fixture
def sums_file(tmp_path: Path, sums: list[Example]) -> Path:
    """The same questions as a file of the generic schema."""
    path = tmp_path / "sums.json"
    rows = [{"question": e.question, "steps": [], "answer": e.answer} for e in sums]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture
def data_root() -> Path:
    """The folder of real benchmark files."""
    folder = os.environ.get("LATENTREASON_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LATENTREASON_DATA names no folder with the benchmark files")
    return Path(folder)


@pytest.fixture
def environment() -> dict[str, str]:
    """This process's environment for subprocesses, with a checkout's packages on the path."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


class TinyCheckpoints(dict[str, Path]):
    """Tiny random checkpoints of registered methods by name, made or copied when first asked for."""

    def __init__(self, make: Callable[[str], Path]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, name: str) -> Path:
        self[name] = self.make(name)
        return self[name]


def _checkpoint(name: str, folder: Path) -> Path:
    import torch

    from latentreason.backbones import build_backbone
    from latentreason.config import ModelConfig, SplitConfig, TokenizerConfig
    from latentreason.data import load_split
    from latentreason.loading import pinned_base
    from latentreason.registry import METHODS, model_class, settings_class

    split = SplitConfig(generator="state_tracking", size=200, options={"num_maps": 3})
    examples = load_split(split)
    texts = [text for e in examples for text in (e.question, *e.steps, e.answer, "###", "\n")]
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 128}
    dropout = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    config = ModelConfig(
        config={"model_type": "gpt2", **shape, **dropout}, tokenizer=TokenizerConfig(kind="word")
    )
    torch.manual_seed(0)
    backbone, tokenizer = build_backbone(config, texts)
    # Random answers differ from question to question only if the logits are far from flat.
    for parameter in backbone.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(6)
    settings = settings_class(name)(name=name, **METHODS[name].preset)
    settings.max_new_tokens = 6
    base = None
    if model_class(name).frozen:
        # What a checkpoint only names has to lie somewhere; one model serves as both.
        base = ModelConfig(name=str(folder.with_name(f"{name}-base")))
        backbone.save_pretrained(base.name)
        tokenizer.save_pretrained(base.name)
        settings.assistant, settings.prompt.chat_template = base, False
    model = model_class(name).create(settings, backbone, tokenizer)
    model.config.base_model = None if base is None else pinned_base(base, backbone)
    try:
        model.set_stage(3)
    except UserError:
        model.set_stage(0)  # a method without a curriculum has no other
    model.statistics(examples)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def made_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> TinyCheckpoints:
    """A tiny random checkpoint of every registered method, by name, for state tracking."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return TinyCheckpoints(lambda name: _checkpoint(name, folder / name))


@pytest.fixture
def tiny_checkpoints(made_checkpoints: TinyCheckpoints, tmp_path: Path) -> TinyCheckpoints:
    """The same as copies of this test's own: an evaluation leaves its result in the checkpoint."""
    folder = tmp_path / "checkpoints"
    return TinyCheckpoints(
        lambda name: Path(shutil.copytree(made_checkpoints[name], folder / name))
    )
