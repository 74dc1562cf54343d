"""`latentreason report`: one folder with report.md, report.html, results.json and the plots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentreason_eval.report.html import Section, page
from latentreason_eval.report.plots import draw_plots, draw_training
from latentreason_eval.report.table import (
    Table,
    baseline_table,
    conditions_table,
    main_table,
    markdown_table,
    samples_table,
    seeds_table,
)
from latentreason_eval.report.training import read_curve, training_table
from latentreason_eval.runs import Run, load_runs
from latentreason_eval.store import write_json

ANALYSIS = "pass@k, maj@k over all subsets of the samples; distinct = different right answers"


def report(
    runs: Sequence[str | Path],
    *,
    out: str | Path,
    questions: bool = False,
    title: str = "Evaluation",
    training: Sequence[str | Path] = (),
) -> dict[str, Any]:
    """Write a report on one or more runs.

    Args:
        runs: folders that `eval` wrote.
        out: the report's folder.
        questions: put questions, golds and outputs into the sample browser. Off, the report carries
            ids, verdicts and figures only, as whatever is committed has to.
        title: the heading.
        training: run folders that `train` wrote, whose accuracy on the validation split is drawn
            against optimizer steps.

    Returns:
        {"markdown": path, "html": path, "plots": [paths]}.

    Raises:
        MissingFileError: a folder is not a finished evaluation, or not a training with accuracies.
    """
    loaded = load_runs(runs)
    curves = [read_curve(folder) for folder in training]
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    sections: list[Section] = []
    commands: list[list[str]] = []
    for task in dict.fromkeys(run.task for run in loaded):
        group = [run for run in loaded if run.task == task]
        stem = re.sub(r"\W+", "_", task).strip("_")
        sections.append((task, _tables(group), draw_plots(group, folder, stem)))
        commands.append([text for run in group if (text := run.summary.get("command"))])
    if curves:
        tables = [("Validation split", "", training_table(curves))]
        sections.append(("Training", tables, draw_training(curves, folder)))
        commands.append([])
    text = _markdown(title, sections, commands)
    (folder / "report.md").write_text(text, encoding="utf-8")
    html = page(title, sections, folder, loaded, questions)
    (folder / "report.html").write_text(html, encoding="utf-8")
    write_json(folder / "results.json", [{"run": r.label, **_public(r.summary)} for r in loaded])
    return {
        "markdown": str(folder / "report.md"),
        "html": str(folder / "report.html"),
        "plots": [str(folder / f"{name}.png") for _, _, drawn in sections for name, _ in drawn],
    }


def _tables(runs: Sequence[Run]) -> list[tuple[str, str, Table]]:
    """Return (heading, remark, table) of everything that there is to say of runs on one task."""
    found = [("Accuracy and cost", _how(runs[0]), main_table(runs))]
    if any("pass_at_k" in run.summary for run in runs):
        found.append(("Several samples", ANALYSIS, samples_table(runs)))
    seeds = seeds_table(runs)
    if seeds[1]:
        found.append(("Seeds", "", seeds))
    for kind, heading in (("controls", "Controls"), ("sweep", "Sweep")):
        for run in runs:
            if run.summary.get(kind):
                found.append((f"{heading}: {run.label}", "", conditions_table(run, kind)))
    if runs[0].summary.get("baselines"):
        remark = "Reached without a model and without reasoning, on the same questions."
        found.append(("Shortcut baselines", remark, baseline_table(runs[0])))
    return found


def _how(run: Run) -> str:
    row = run.summary
    versions = ", ".join(f"{name} {v}" for name, v in (row.get("versions") or {}).items() if v)
    return (
        f"Benchmark version {row['benchmark_version']}, rule {row['rule']}, seed {row['seed']}, "
        f"temperature {row['temperature']}, {row['num_samples']} sample(s) per question. Commit "
        f"{str(row.get('commit'))[:12]}; {versions}; {row.get('machine')}. Tokens are visible "
        "ones; thoughts are continuous ones and count apart."
    )


def _markdown(title: str, sections: Sequence[Section], commands: Sequence[Sequence[str]]) -> str:
    lines = [f"# {title}", ""]
    for (task, tables, drawn), given in zip(sections, commands, strict=True):
        lines += [f"## {task}", ""]
        for heading, remark, (head, rows) in tables:
            lines += [f"### {heading}", ""]
            lines += [remark, ""] if remark else []
            lines += [markdown_table(head, rows), ""]
        for name, caption in drawn:
            lines += [f"![{caption}]({name}.png)", ""]
        if given:
            lines += ["Commands:", "", *(f"    {command}" for command in dict.fromkeys(given)), ""]
    return "\n".join(lines)


def _public(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without local paths: only the last two names of a checkpoint's path are kept."""
    row = dict(summary)
    if "checkpoint" in row and "://" not in str(row["checkpoint"]):
        row["checkpoint"] = "/".join(Path(str(row["checkpoint"])).parts[-2:])
    for kind in ("controls", "sweep"):
        row[kind] = [_public(inner) for inner in row.get(kind, [])]
    return row
