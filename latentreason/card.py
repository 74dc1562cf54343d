"""The model card of a checkpoint: README.md with Hugging Face metadata, written at every save."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from latentreason.config import DataConfig, SplitConfig

CARD = "README.md"
SUMMARY = "summary.json"
FIGURES = ("accuracy", "ci_low", "ci_high", "n", "tokens", "thoughts")


def write_card(folder: Path, config: Any, origins: Iterable[Path] = ()) -> None:
    """Write README.md into the checkpoint `folder`.

    Args:
        folder: where the checkpoint lies.
        config: its `LatentConfig`.
        origins: where the same weights came from; evaluations beside these are listed as well.
    """
    results = [row for place in (folder, *origins) for row in results_beside(place)]
    (folder / CARD).write_text(card_text(config, results), encoding="utf-8")


def card_text(config: Any, results: Sequence[dict[str, Any]]) -> str:
    """The whole card."""
    parts = [
        f"---\n{yaml.safe_dump(_metadata(config, results), sort_keys=False)}---",
        f"# {config.method_name} on {_backbone(config)}",
        _facts(config),
        _results(results),
        _usage(config),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def results_beside(checkpoint: Path) -> list[dict[str, Any]]:
    """Summaries of the evaluator in the checkpoint's folder, or in the run folder it belongs to, that
    score this very checkpoint; one per benchmark, split and thought mode."""
    checkpoint = checkpoint.resolve()
    run = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint
    known = {checkpoint}
    best = run / "best" if (run / "best").exists() else run / "last"
    if best.resolve() == checkpoint:
        known.add(run)
    found = []
    for file in sorted(run.rglob(SUMMARY)):
        row = _read_summary(file)
        scored = row.get("checkpoint")
        if row.get("kind", "main") == "main" and scored and Path(scored).resolve() in known:
            found.append(row)
    return found


def _read_summary(file: Path) -> dict[str, Any]:
    """A summary of the evaluator; {} for another program's file of that name."""
    try:
        row = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return row if isinstance(row, dict) and "accuracy" in row else {}


def provenance(data: DataConfig) -> dict[str, Any]:
    """What a card says of how a checkpoint came to be; kept in its config."""
    splits = {name: getattr(data, name) for name in ("train", "valid")}
    return {
        "data": {name: describe_split(split) for name, split in splits.items() if split},
        "command": command_line(),
        "commit": git_commit(),
    }


def describe_split(split: SplitConfig) -> str:
    """One line: where the examples of a split came from."""
    source = split.file if split.reader else f"seed {split.seed}"
    words = [
        f"{'reader' if split.reader else 'generator'} {split.reader or split.generator}",
        source,
    ]
    if split.size is not None:
        words.append(f"{split.size} examples")
    words += [f"{key} {value}" for key, value in split.options.items()]
    if split.augment:
        words.append(f"augment {split.augment}")
    return ", ".join(str(word) for word in words)


def command_line() -> str | None:
    """This process's command, if it is one of ours; None where Python called the library."""
    script = Path(sys.argv[0])
    if script.stem in ("latentreason", "cli"):
        return shlex.join(["latentreason", *sys.argv[1:]])
    if script.parent.name == "latentreason_launch":
        return shlex.join(["python", "-m", f"latentreason_launch.{script.stem}", *sys.argv[1:]])
    return None


def git_commit() -> str | None:
    """Git commit of the code, where it runs from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return found.stdout.strip() or None


def _metadata(config: Any, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "library_name": "latentreason",
        "pipeline_tag": "text-generation",
        "tags": ["latent-reasoning", config.method_name],
    }
    base = (config.base_model or {}).get("name")
    # A path on the trainer's machine is no hub name.
    if base and base.count("/") == 1 and not base.startswith((".", "/", "runs/")):
        metadata["base_model"] = base
    if results:
        metadata["model-index"] = [
            {"name": config.method_name, "results": [_index_entry(row) for row in results]}
        ]
    return metadata


def _index_entry(row: dict[str, Any]) -> dict[str, Any]:
    name = row.get("benchmark", "unknown")
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": name, "type": name, "split": row.get("split")},
        "metrics": [{"type": "accuracy", "value": round(100 * row["accuracy"], 2)}],
    }


def _backbone(config: Any) -> str:
    base = (config.base_model or {}).get("name")
    return f"`{base}`" if base else f"a {config.text_config.model_type} from scratch"


def _facts(config: Any) -> str:
    origin = config.provenance or {}
    rows = [
        ("method", config.method_name),
        ("stage", config.stage),
        ("thoughts per question", config.num_thoughts),
        *((f"data, {name}", text) for name, text in origin.get("data", {}).items()),
        ("converted from", origin.get("source")),
        ("command", f"`{origin['command']}`" if origin.get("command") else None),
        ("commit of latentreason", origin.get("commit")),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows if value is not None]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _results(results: Sequence[dict[str, Any]]) -> str:
    if not results:
        return (
            "Not evaluated yet: `latentreason eval` into this folder, and the next save lists it."
        )
    lines = ["| benchmark | split | mode | " + " | ".join(FIGURES) + " |"]
    lines.append("| --- " * (3 + len(FIGURES)) + "|")
    for row in results:
        cells = [row.get("benchmark"), row.get("split"), row.get("thought_mode", "normal")]
        cells += [_number(row.get(name)) for name in FIGURES]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    commands = [f"`{row['command']}`" for row in results if row.get("command")]
    return "\n".join(["## Results", "", *lines, "", *commands]).rstrip()


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _usage(config: Any) -> str:
    return (
        "## Use\n\n```python\nimport latentreason\n\n"
        'model = latentreason.load("<this folder or hub name>")\n'
        'print(model.generate(["question ..."])[0].text)\n```\n\n'
        "The config holds thoughts, stage, prompt and token ids; a tool that does not know "
        f"`{config.model_type}` refuses it instead of answering without thoughts."
    )
