"""Tables of a report: rows of strings, the same for Markdown and HTML."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from latentreason_eval.runs import Run

Table = tuple[list[str], list[list[str]]]
"""(head, rows)"""


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others right."""
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def percent(share: float | None) -> str:
    """Return 0.4567 as "45.7"."""
    return "-" if share is None else f"{100 * share:.1f}"


def with_interval(row: Mapping[str, Any]) -> str:
    """Return "45.7 [43.1, 48.3]", in per cent."""
    return f"{percent(row['accuracy'])} [{percent(row['ci_low'])}, {percent(row['ci_high'])}]"


def scaled(value: float | None, unit: float = 1.0, digits: int = 3) -> str:
    """Return a figure in a unit with so many significant digits, without exponents."""
    if value is None:
        return "-"
    value = value / unit
    if value >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


Column = tuple[str, Callable[[Mapping[str, Any]], str], bool]
"""(head, cell of a row, whether it is always shown)"""

COLUMNS: tuple[Column, ...] = (
    ("accuracy % [95 %]", with_interval, True),
    ("n", lambda row: str(row["n"]), True),
    ("thoughts", lambda row: scaled(row["thoughts"]), True),
    ("steps (NFE)", lambda row: scaled(row["steps"]), False),
    ("tokens", lambda row: scaled(row["tokens"]), True),
    ("prompt tokens", lambda row: scaled(row["prompt_tokens"]), True),
    ("s / question alone", lambda row: scaled(row["seconds_per_question"]), True),
    ("questions / s", lambda row: scaled(row["questions_per_second"]), True),
    ("GFLOP / answer", lambda row: scaled(row["flops_per_sample"], 1e9), True),
    ("peak GB", lambda row: scaled(row["peak_memory_bytes"], 1e9), True),
    ("no answer %", lambda row: percent(row["no_answer"]), True),
    ("errors", lambda row: str(row["errors"]), False),
)


def main_table(runs: Sequence[Run]) -> Table:
    """Return accuracy and cost, one row per run; columns that are zero everywhere are left out."""
    rows = [(run.label, run.summary) for run in runs]
    return _columns("run", rows)


def conditions_table(run: Run, kind: str) -> Table:
    """Return the main condition and the run's controls, or its sweep."""
    rows = [("normal" if kind == "controls" else "main", run.summary)]
    rows += [(row["label"], row) for row in run.summary.get(kind, [])]
    return _columns(kind.rstrip("s"), rows)


def _columns(first: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    shown = [
        column
        for column in COLUMNS
        if column[2] or any(column[1](row) not in ("0", "-") for _, row in rows)
    ]
    head = [first, *(name for name, _, _ in shown)]
    return head, [[label, *(cell(row) for _, cell, _ in shown)] for label, row in rows]


def baseline_table(run: Run) -> Table:
    """Return the shortcut baselines of a run's questions."""
    rows = [
        [row["label"], row["note"], with_interval(row), str(row["n"])]
        for row in run.summary.get("baselines", [])
    ]
    return ["baseline", "what it does", "accuracy % [95 %]", "n"], rows


def samples_table(runs: Sequence[Run]) -> Table:
    """Return pass@k, maj@k and distinct right answers of the runs with several samples."""
    several = [run for run in runs if "pass_at_k" in run.summary]
    sizes = sorted({int(k) for run in several for k in run.summary["pass_at_k"]})
    head = ["run", *(f"pass@{k}" for k in sizes), *(f"maj@{k}" for k in sizes), "distinct"]
    rows = []
    for run in several:
        cells = [run.label]
        for name in ("pass_at_k", "majority_at_k"):
            cells += [percent(run.summary[name].get(str(k))) for k in sizes]
        rows.append([*cells, scaled(run.summary["distinct"])])
    return head, rows


def seeds_table(runs: Sequence[Run]) -> Table:
    """Return mean and standard deviation over runs that differ in their seed only."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        summary = run.summary
        names = ("checkpoint", "rule", "thought_mode", "num_thoughts", "temperature", "num_samples")
        groups.setdefault(tuple(str(summary.get(name)) for name in names), []).append(run)
    rows = []
    for group in groups.values():
        seeds = [str(run.summary["seed"]) for run in group]
        if len(set(seeds)) > 1:
            accuracies = [100 * run.summary["accuracy"] for run in group]
            spread = statistics.stdev(accuracies)
            rows.append(
                [
                    group[0].label,
                    ", ".join(seeds),
                    f"{statistics.mean(accuracies):.1f} ± {spread:.1f}",
                ]
            )
    return ["first run", "seeds", "accuracy %, mean ± sd"], rows
