"""The model card of a checkpoint: README.md with Hugging Face metadata.

It is written at every save, and again when the evaluator has scored the checkpoint: results are kept
beside the weights, each with the digest of the weights it is of.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from latentreason.config import DataConfig, SplitConfig

CARD = "README.md"
RESULTS = "evaluations.json"
WEIGHTS = "weights_sha256"
FIGURES = ("accuracy", "ci_low", "ci_high", "n", "tokens", "thoughts")
ASKED = (
    *("thought_mode", "num_thoughts", "gold_num_thoughts", "num_steps", "num_samples"),
    *("temperature", "top_p", "max_new_tokens", "template_hash"),
)
KEPT = ("benchmark", "split", "data", "rule", *ASKED, *FIGURES, "questions", "commit", "command")
SEAL = "\n<!-- latentreason writes this card anew unless it was edited: {} -->\n"


def write_card(folder: Path, config: Any, origins: Iterable[Path] = ()) -> None:
    """Write README.md into the checkpoint `folder`, unless it holds one that we did not write.

    Args:
        folder: where the checkpoint lies.
        config: its `LatentConfig`.
        origins: where the weights may have come from; of their results, those of the very same
            weights are taken over.
    """
    known = [row for place in (folder, *origins) for row in read_results(place)]
    _write(folder, config, known, weights_digest(folder) if known else None)


def record_result(folder: Path, row: Mapping[str, Any]) -> None:
    """Keep a result beside the weights it is of, and list it in their card.

    A folder that cannot be written stays as it is, with a warning.

    Args:
        folder: a checkpoint of ours; what lies in it now are the weights that were scored.
        row: the evaluator's summary of the main condition, with `questions`: how many the split has.
    """
    from transformers import AutoConfig

    kept = {name: row[name] for name in KEPT if name in row}
    kept["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    try:
        # The model in memory may have been given other settings than the checkpoint has.
        config = AutoConfig.from_pretrained(folder)
        kept[WEIGHTS] = weights_digest(folder)
        _write(folder, config, [*read_results(folder), kept], kept[WEIGHTS])
    except OSError as error:
        logging.getLogger(__name__).warning(
            "%s cannot be written (%s), so its card does not list this result", folder, error
        )


def _write(folder: Path, config: Any, known: list[dict[str, Any]], weights: str | None) -> None:
    """Write results and card: of the known results, those of these weights."""
    same = [row for row in known if weights is not None and row[WEIGHTS] == weights]
    results = newest(same, config)
    if known:
        _replace(folder / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    if not _edited(folder):
        _replace(folder / CARD, card_text(config, results))


def take_edited_card(folder: Path, origin: Path) -> None:
    """Put a card that somebody wrote or edited beside a copy of the weights it is of."""
    if not _edited(origin):
        return
    if weights_digest(origin) == weights_digest(folder):
        shutil.copyfile(origin / CARD, folder / CARD)
    else:
        logging.getLogger(__name__).warning(
            "%s is a card of other weights than these and is not taken over", origin / CARD
        )


def _edited(folder: Path) -> bool:
    card = folder / CARD
    return card.exists() and not is_ours(card.read_text(encoding="utf-8", errors="replace"))


def read_results(folder: Path) -> list[dict[str, Any]]:
    """The results kept in a checkpoint's folder, of whatever weights; [] for another's file."""
    try:
        rows = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    needed = {"accuracy", "n", WEIGHTS}
    rows = rows if isinstance(rows, list) else []
    return [row for row in rows if isinstance(row, dict) and needed <= row.keys()]


def newest(rows: Iterable[dict[str, Any]], config: Any) -> list[dict[str, Any]]:
    """One row per benchmark, split, rule and way of asking: of those over most questions the last."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["n"], str(row.get("date")))):
        key = [row.get(name) for name in ("benchmark", "split", "data", "rule")]
        found[*key, asked(row, config)] = row
    return sorted(found.values(), key=lambda row: str(row.get("date")))


def asked(row: Mapping[str, Any], config: Any) -> str:
    """How the checkpoint was asked; "normal" is greedily, with its own thoughts and prompt."""
    thoughts, samples = row.get("num_thoughts"), row.get("num_samples", 1)
    temperature, limit = row.get("temperature", 0), row.get("max_new_tokens")
    words = [row.get("thought_mode", "normal")]
    if row.get("gold_num_thoughts"):
        words.append("as many thoughts as gold steps")
    elif thoughts is not None and thoughts != config.num_thoughts:
        words.append(f"num_thoughts {thoughts}")
    if row.get("num_steps") is not None:
        words.append(f"num_steps {row['num_steps']}")
    if samples > 1 or temperature > 0:
        words.append(f"{samples} samples at temperature {temperature:g}")
    if row.get("top_p", 1) < 1:
        words.append(f"top_p {row['top_p']:g}")
    if limit is not None and limit != config.max_new_tokens:
        words.append(f"max_new_tokens {limit}")
    if row.get("template_hash") != getattr(config, "template_hash", None):
        words.append("another prompt")
    return ", ".join(words)


def weights_digest(folder: Path) -> str | None:
    """sha256 over a checkpoint's weight files: the same in a copy, another after any training."""
    files = (*folder.glob("*.safetensors"), *folder.glob("*/adapter_model.safetensors"))
    digest = hashlib.sha256()
    for file in sorted(files):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256")
        digest.update(f"{file.relative_to(folder).as_posix()} {content.hexdigest()}\n".encode())
    return digest.hexdigest() if files else None


def card_text(config: Any, results: Sequence[dict[str, Any]]) -> str:
    """The whole card, sealed, so that an edit by hand is seen."""
    parts = [
        f"---\n{yaml.safe_dump(_metadata(config, results), sort_keys=False)}---",
        f"# {config.method_name} on {_backbone(config)}",
        _facts(config),
        _results(config, results),
        _usage(config),
    ]
    return _sealed("\n\n".join(part for part in parts if part) + "\n")


def is_ours(text: str) -> bool:
    """Whether `card_text` wrote a card, and nobody has edited it since."""
    body = text.rpartition(SEAL[:5])[0]
    return _sealed(body) == text


def _sealed(text: str) -> str:
    return text + SEAL.format(hashlib.sha256(text.encode()).hexdigest()[:16])


def _replace(path: Path, text: str) -> None:
    """Write in one step; of a link, such as the hub's cache has, the file behind it stays."""
    temporary = path.with_name(f"{path.name}.new{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
    """Git commit of the code, where it runs from its own checkout.

    None where it is installed, also where the environment or a copy of the code lies inside another
    repository.
    """
    here = Path(__file__).resolve()
    tracked = _git(here.parent, "ls-files", "--full-name", "--error-unmatch", here.name)
    if tracked != f"latentreason/{here.name}":
        return None
    return _git(here.parent, "rev-parse", "HEAD")


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _metadata(config: Any, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "library_name": "latentreason",
        "pipeline_tag": "text-generation",
        "tags": ["latent-reasoning", config.method_name],
    }
    base = (config.base_model or {}).get("name")
    # A path on the trainer's machine is no hub name.
    local = not base or base.startswith((".", "/", "runs/")) or Path(base).exists()
    if base and base.count("/") == 1 and not local:
        metadata["base_model"] = base
    # A reader of metadata takes "accuracy" for that of the checkpoint as it answers by itself.
    plain = [_index_entry(row) for row in results if asked(row, config) == "normal"]
    if plain:
        metadata["model-index"] = [{"name": config.method_name, "results": plain}]
    return metadata


def _index_entry(row: dict[str, Any]) -> dict[str, Any]:
    name = row.get("benchmark", "unknown")
    metric = {
        "type": "accuracy",
        "name": f"accuracy (n = {_questions(row)})",
        "value": round(100 * row["accuracy"], 2),
        "args": {"n": row["n"], "rule": row.get("rule")},
    }
    return {
        "task": {"type": "text-generation"},
        "dataset": {"name": name, "type": name, "split": row.get("split")},
        "metrics": [metric],
    }


def _questions(row: Mapping[str, Any]) -> str:
    """How many questions were scored, and of how many where it is a part."""
    whole = row.get("questions", row["n"])
    return f"{row['n']} of {whole}" if row["n"] < whole else str(row["n"])


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


def _results(config: Any, results: Sequence[dict[str, Any]]) -> str:
    if not results:
        return "Not evaluated yet: `latentreason eval` of this folder lists its result here."
    columns = ("benchmark", "split", "rule", "mode", *FIGURES)
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for row in results:
        cells = {name: _number(row.get(name)) for name in columns}
        cells |= {"mode": asked(row, config), "n": _questions(row)}
        lines.append(f"| {' | '.join(cells.values())} |")
    commands = dict.fromkeys(f"`{row['command']}`" for row in results if row.get("command"))
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
