"""Validation accuracy while training, read from the run folders that `train` wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from latentreason.errors import MissingFileError
from latentreason_eval.report.table import Table, percent


@dataclass(frozen=True)
class Curve:
    """Accuracy (0 to 1) on the validation split by optimizer step, and the stage of each step."""

    label: str
    steps: list[int]
    stages: list[int]
    accuracies: list[float]


def read_curve(folder: str | Path) -> Curve:
    """Read a run folder of `train`.

    Raises:
        MissingFileError: it holds no metrics.jsonl, or none with accuracies.
    """
    path = Path(folder) / "metrics.jsonl"
    if not path.is_file():
        raise MissingFileError(f"{folder} holds no metrics.jsonl; name a run folder of `train`")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    # A resumed run repeats what was after its checkpoint.
    rows = {line["step"]: line for line in lines if "valid_accuracy" in line}
    if not rows:
        raise MissingFileError(f"{path} holds no valid_accuracy; train with data.valid")
    steps = sorted(rows)
    return Curve(
        Path(folder).resolve().name,
        steps,
        [rows[step]["stage"] for step in steps],
        [rows[step]["valid_accuracy"] for step in steps],
    )


def training_table(curves: list[Curve]) -> Table:
    """One row per run: its best and its last accuracy, and when."""
    head = ["run", "steps", "best %", "at step", "last %"]
    rows = []
    for curve in curves:
        best = max(curve.accuracies)
        rows.append(
            [
                curve.label,
                str(curve.steps[-1]),
                percent(best),
                str(curve.steps[curve.accuracies.index(best)]),
                percent(curve.accuracies[-1]),
            ]
        )
    return head, rows
