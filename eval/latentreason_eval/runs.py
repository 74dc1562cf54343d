"""Finished evaluations on disk: a run folder, its conditions, their records and rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentreason.errors import MissingFileError, UserError
from latentreason_eval.record import EvalRecord, read_records
from latentreason_eval.store import RECORDS, SETTINGS, SUMMARY


@dataclass(frozen=True)
class Run:
    """One evaluation as it lies on disk.

    Attributes:
        path: its folder.
        label: its name in tables and plots.
        summary: the main condition's row with `controls`, `sweep` and `baselines`.
    """

    path: Path
    label: str
    summary: dict[str, Any]

    @property
    def task(self) -> str:
        """Benchmark and split."""
        return f"{self.summary['benchmark']} / {self.summary['split']}"

    def records(self, label: str = "") -> list[EvalRecord]:
        """Return the records of one condition; "" is the main one."""
        return list(read_records(self.path / label / RECORDS))


def load_run(path: str | Path, label: str | None = None) -> Run:
    """Read a run folder.

    Raises:
        MissingFileError: it is not a finished evaluation.
    """
    folder = Path(path)
    if not (folder / RECORDS).is_file():
        raise MissingFileError(f"run: {path} holds no {RECORDS}; give a folder that `eval` wrote")
    if not (folder / SUMMARY).is_file():
        raise MissingFileError(
            f"run: {path} holds no {SUMMARY}; it was not finished, run `eval` again to go on"
        )
    summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return Run(folder, label or folder.resolve().name, summary)


def load_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Read several run folders; where folder names repeat, labels take in the parent's name.

    Raises:
        UserError: there is none, or one is given twice.
    """
    if not paths:
        raise UserError("run: give at least one folder that `eval` wrote")
    folders = [Path(path).resolve() for path in paths]
    if len(set(folders)) != len(folders):
        raise UserError("run: a folder is given twice")
    names = [folder.name for folder in folders]
    labels = [
        f"{folder.parent.name}/{folder.name}" if names.count(folder.name) > 1 else folder.name
        for folder in folders
    ]
    return [load_run(path, label) for path, label in zip(paths, labels, strict=True)]


def condition_folders(path: Path) -> Iterator[Path]:
    """Yield the folders of all conditions of a run, the main one first."""
    yield path
    for folder in sorted(path.iterdir()):
        if "=" in folder.name and (folder / SETTINGS).is_file():
            yield folder
