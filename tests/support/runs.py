"""Small training runs: recipes as trees, runs in this process or in a real one, what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf
from safetensors.torch import load_file
from tiny import backbone_config

from latentreason.config import Recipe
from latentreason.recipes import build_recipe

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = [str(ROOT), *(str(ROOT / name) for name in ("kernels", "eval", "launch"))]
PROMPT = {"question": "{question} =", "step": "{step}", "answer": "{answer}"}


def tree(root: Path, *words: str, family: str = "gpt2", method: str = "coconut") -> dict[str, Any]:
    """A recipe of 3 phases of one epoch of 5 steps (the last one short), as YAML would give it."""
    splits = {
        name: {
            "generator": "state_tracking",
            "size": size,
            "options": {"num_states": 3, "num_maps": 3, "part": name},
        }
        for name, size in (("train", 37), ("valid", 6))
    }
    made = {
        "method": {"name": method, "max_new_tokens": 3, "prompt": PROMPT},
        "model": {
            "config": backbone_config(family),
            "tokenizer": {"kind": "word", "vocab_size": 64},
        },
        "data": splits,
        "optim": {"lr": 0.01, "clip": 1.0},
        "train": {
            "batch_size": 8,
            "log_every": 1,
            "phases": [{"stage": stage, "epochs": 1} for stage in range(3)],
        },
        "run": {"name": "run", "root": str(root)},
    }
    if method in ("coconut", "pause"):
        made["method"]["max_stage"] = 2
    config = OmegaConf.create(made)
    for word in words:
        key, _, value = word.partition("=")
        OmegaConf.update(config, key, yaml.safe_load(value), merge=False)
    return OmegaConf.to_container(config)


def recipe(root: Path, *words: str, **options: Any) -> Recipe:
    """The same as a checked recipe."""
    return build_recipe(tree(root, *words, **options))


def recipe_file(root: Path, *words: str, **options: Any) -> Path:
    """The same as a file."""
    path = root / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(tree(root, *words, **options)), encoding="utf-8")
    return path


def run(root: Path, *words: str, validate: Any = None, **options: Any) -> Path:
    """Train in this process and return the run folder."""
    from latentreason.training import train

    return train(recipe(root, *words, **options), validate).folder


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without what depends on the clock."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        record.pop("tokens_per_second", None)
    return records


def losses(folder: Path) -> list[float]:
    """The loss curve."""
    return [record["loss"] for record in metrics(folder) if "loss" in record]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a run's last checkpoint."""
    return load_file(folder / "last" / "model.safetensors")


def optimizer_state(folder: Path) -> dict[int, dict[str, torch.Tensor]]:
    """AdamW's state in a run's last checkpoint."""
    return torch.load(folder / "last" / "trainer_state" / "optimizer.pt")["state"]


def assert_same_run(ours: Path, theirs: Path) -> None:
    """Metrics, weights and optimizer state are bit-equal."""
    assert metrics(ours) == metrics(theirs)
    left, right = weights(ours), weights(theirs)
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name
    left_state, right_state = optimizer_state(ours), optimizer_state(theirs)
    assert left_state.keys() == right_state.keys()
    for number, values in left_state.items():
        for name, value in values.items():
            assert torch.equal(value, right_state[number][name]), (number, name)


def assert_near_run(ours: Path, theirs: Path, tolerance: float = 2e-5) -> None:
    """Loss curves and weights are equal up to the rounding of fp32."""
    left, right = metrics(ours), metrics(theirs)
    assert [r["step"] for r in left] == [r["step"] for r in right]
    for mine, other in zip(left, right, strict=True):
        assert mine.keys() == other.keys()
        for name, value in mine.items():
            assert abs(value - other[name]) <= tolerance * max(1, abs(value)), (name, mine, other)
    other_weights = weights(theirs)
    for name, value in weights(ours).items():
        gap = (value - other_weights[name]).abs().max().item()
        # AdamW turns the rounding of a small gradient into a larger one of the weight.
        assert gap <= 50 * tolerance, (name, gap)


def environment(**more: str) -> dict[str, str]:
    """For a child: this checkout's packages, one thread."""
    found = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    found |= {"PYTHONPATH": os.pathsep.join(CONTAINERS), "HF_HUB_OFFLINE": "1", **more}
    # pytest runs inside no torchrun, whatever an earlier test in this process has set up.
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        found.pop(name, None)
    return found


def command(*words: str) -> list[str]:
    """`latentreason WORDS` of this checkout."""
    return [sys.executable, "-m", "latentreason_launch.cli", *words]


def latentreason(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    """Run a command to its end."""
    return subprocess.run(
        command(*words), capture_output=True, text=True, cwd=cwd, env=environment(**env),
        timeout=300, check=False,
    )  # fmt: skip


def torchrun(ranks: int, *words: str, timeout: float = 420) -> subprocess.CompletedProcess:
    """Train with real ranks on this machine."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch += ["--nproc-per-node", str(ranks), "-m", "latentreason_launch.train", *words]
    return subprocess.run(
        launch, capture_output=True, text=True, env=environment(), timeout=timeout, check=False
    )
