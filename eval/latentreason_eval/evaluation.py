"""One evaluation: a model on a benchmark, its controls and sweeps, each in a folder of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentreason.card import record_result
from latentreason.errors import UserError, check_choice
from latentreason_eval import distributed
from latentreason_eval.backends.model import weights_fingerprint
from latentreason_eval.baselines import baseline_rows
from latentreason_eval.benchmark import Benchmark
from latentreason_eval.cost import cost_columns, latency, reset_peak_memory
from latentreason_eval.metrics.headline import headline
from latentreason_eval.provenance import provenance
from latentreason_eval.rules import AnswerRule
from latentreason_eval.runner import questions, run
from latentreason_eval.sample import Backend, Sampling
from latentreason_eval.sources import LoadedSplit
from latentreason_eval.store import SUMMARY, write_json
from latentreason_eval.summary import summarise

SWEEPS = {"thoughts": "num_thoughts", "steps": "num_steps"}


@dataclass(frozen=True)
class Condition:
    """One way of asking: the sampling, and the words for what differs from the main condition.

    Attributes:
        kind: "main", "control" or "sweep".
        label: folder below the run's, "" for the main condition.
    """

    kind: str
    label: str
    sampling: Sampling


@dataclass
class Evaluation:
    """A backend on one split, with everything that all conditions share."""

    backend: Backend
    benchmark: Benchmark
    split: LoadedSplit
    rule: AnswerRule
    out: Path
    limit: int | None = None
    show_progress: bool = True
    measure_latency: bool = True
    _describe: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._describe = self.backend.describe()

    def settings(self, sampling: Sampling) -> dict[str, Any]:
        """Return what has to be equal for a folder to be continued."""
        return {
            "benchmark": self.benchmark.name,
            "benchmark_version": self.benchmark.version,
            "split": self.split.name,
            "data": self.split.fingerprint,
            "rule": self.rule.name,
            **self._describe,
            **dataclasses.asdict(sampling),
            "num_thoughts": (
                self._describe.get("num_thoughts")
                if sampling.num_thoughts is None
                else sampling.num_thoughts
            ),
        }

    def condition(self, condition: Condition) -> dict[str, Any]:
        """Run one condition and return its row; it is also written as its folder's summary."""
        out = self.out / condition.label
        settings = self.settings(condition.sampling)
        reset_peak_memory()
        records, asked = run(
            self.backend,
            self.split.examples,
            self.rule,
            condition.sampling,
            out,
            settings,
            limit=self.limit,
            keep=self.benchmark.keep,
            show_progress=self.show_progress,
        )
        row = summarise(records, settings, none_votes=self.rule.none_votes)
        row |= {"metric": self.benchmark.metric, "score": headline(self.benchmark.metric, row)}
        rank, size = distributed.rank_and_size()
        parameters = self._describe.get("num_parameters")
        row |= cost_columns(records, row, parameters, self.backend.parallel * size)
        row["seconds_per_question"] = row.pop("seconds_in_batch")
        row |= {"kind": condition.kind, "label": condition.label or "main"}
        if rank == 0:
            before = {} if asked else _measured_before(out / SUMMARY)
            if self.measure_latency and not before:
                timed = questions(self.split.examples, condition.sampling.seed)[: self.limit]
                row["seconds_per_question"] = latency(self.backend, timed, condition.sampling)
            row |= before
            write_json(out / SUMMARY, row | provenance())
        return row

    def baselines(self) -> list[dict[str, Any]]:
        """Return the rows of the benchmark's shortcut baselines, on the same questions."""
        return baseline_rows(self.benchmark.baselines, self.split.examples[: self.limit])

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the whole evaluation's summary into its folder; the checkpoint's card lists it."""
        if distributed.rank_and_size()[0] == 0:
            written = summary | provenance()
            write_json(self.out / SUMMARY, written)
            folder = getattr(getattr(self.backend, "model", None), "loaded_from", None)
            # A run may have moved on to other weights since.
            if folder is not None and weights_fingerprint(str(folder)) == summary["weights"]:
                record_result(folder, written | {"questions": len(self.split.examples)})
        distributed.barrier()


def _measured_before(path: Path) -> dict[str, Any]:
    """What a finished evaluation measured; asking for its summary again must not change it."""
    if not path.is_file():
        return {}
    old = json.loads(path.read_text(encoding="utf-8"))
    return {name: old[name] for name in ("seconds_per_question", "peak_memory_bytes")}


def conditions(
    sampling: Sampling,
    controls: Sequence[str] = (),
    sweeps: Mapping[str, Sequence[int]] | None = None,
) -> list[Condition]:
    """Return the main condition, one per control mode, one per value of each sweep."""
    listed = [Condition("main", "", sampling)]
    for mode in controls:
        if mode != sampling.thought_mode:
            # A number of thoughts beside "none" would be ignored, and is refused.
            number = None if mode == "none" else sampling.num_thoughts
            changed = dataclasses.replace(sampling, thought_mode=mode, num_thoughts=number)
            listed.append(Condition("control", f"thought_mode={mode}", changed))
    for name, values in (sweeps or {}).items():
        for value in values:
            words: dict[str, Any] = {SWEEPS[name]: value}
            changed = dataclasses.replace(sampling, **words)
            listed.append(Condition("sweep", f"{name}={value}", changed))
    return listed


def parse_sweep(text: str | None) -> dict[str, list[int]]:
    """Return {"thoughts": [0, 1, ...]} for "thoughts=0..8" or "thoughts=0,2,4".

    Raises:
        UserError: the text has another form; names `sweep`.
    """
    if not text:
        return {}
    name, equals, rest = text.partition("=")
    check_choice("sweep", name, SWEEPS)
    try:
        if ".." in rest:
            low, high = (int(part) for part in rest.split(".."))
            values = list(range(low, high + 1))
        else:
            values = [int(part) for part in rest.split(",")]
    except ValueError:
        values = []
    if not equals or not values or min(values) < 0:
        raise UserError(f'sweep: "{text}" is not of the form thoughts=0..8 or steps=5,10,30')
    return {name: values}
