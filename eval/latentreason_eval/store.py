"""The folder of one evaluation: settings, records as they come, resuming, merging of ranks."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentreason.errors import UserError
from latentreason_eval.record import EvalRecord, read_records

SETTINGS, RECORDS, SUMMARY = "run.json", "records.jsonl", "summary.json"


class RunFolder:
    """Where one condition (one model, benchmark, sampling, thought mode) is written.

    Every rank appends to a file of its own, a whole question at a time; `merge` makes one sorted
    records.jsonl of them. What is already there is never scored again.
    """

    def __init__(self, path: str | Path, rank: int = 0) -> None:
        self.path = Path(path)
        self.rank = rank

    def open(self, settings: Mapping[str, Any]) -> None:
        """Create the folder, or check that what is in it was made with the same settings.

        Raises:
            UserError: the folder holds an evaluation with other settings; names the first.
        """
        path = self.path / SETTINGS
        if path.is_file():
            old = json.loads(path.read_text(encoding="utf-8"))
            new = json.loads(json.dumps(dict(settings)))
            for name in sorted({*old, *new}):
                if old.get(name) != new.get(name):
                    raise UserError(
                        f"out: {self.path} holds an evaluation with {name} = {old.get(name)!r}, "
                        f"not {new.get(name)!r}; give another folder"
                    )
        elif self.rank == 0:
            if any(self.path.glob("records*.jsonl")):
                raise UserError(
                    f"out: {self.path} has records but no {SETTINGS}; give another folder"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(path, settings)
        self.path.mkdir(parents=True, exist_ok=True)

    def finished(self, num_samples: int) -> dict[int, list[EvalRecord]]:
        """Return the questions that are done, by row: all samples present, none an error."""
        found: dict[int, dict[int, EvalRecord]] = {}
        for path in self._files():
            for record in read_records(path, torn_tail=True):
                found.setdefault(record.index, {}).setdefault(record.sample, record)
        return {
            index: [samples[number] for number in range(num_samples)]
            for index, samples in found.items()
            if all(n in samples and samples[n].error is None for n in range(num_samples))
        }

    def append(self, records: Sequence[EvalRecord]) -> None:
        """Append records to this rank's file and flush them to the disk's cache."""
        path = self.path / f"records.rank{self.rank}.jsonl"
        if path.is_file():
            _cut_torn_tail(path)
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(record.line() for record in records))

    def merge(self, num_samples: int) -> list[EvalRecord]:
        """Write records.jsonl from all ranks' files, each sample once, sorted; remove those files.

        The last record of a sample wins where an earlier one was an error.
        """
        chosen: dict[tuple[int, int], EvalRecord] = {}
        files = self._files()
        for path in files:
            for record in read_records(path, torn_tail=True):
                if record.sample >= num_samples:
                    continue
                old = chosen.get((record.index, record.sample))
                if old is None or old.error is not None:
                    chosen[record.index, record.sample] = record
        records = [chosen[key] for key in sorted(chosen)]
        temporary = self.path / f"{RECORDS}.new"
        temporary.write_text("".join(record.line() for record in records), encoding="utf-8")
        os.replace(temporary, self.path / RECORDS)
        for path in files:
            if path.name != RECORDS:
                path.unlink()
        return records

    def records(self) -> list[EvalRecord]:
        """Return the merged records."""
        return list(read_records(self.path / RECORDS))

    def _files(self) -> list[Path]:
        merged = self.path / RECORDS
        return [
            *([merged] if merged.is_file() else []),
            *sorted(self.path.glob("records.rank*.jsonl")),
        ]


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a temporary file and rename it, so that a killed run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _cut_torn_tail(path: Path) -> None:
    """Drop a last line without its end, so that what is appended does not grow onto it."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)
