"""`latentreason compare`: two runs on the same questions, paired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentreason.errors import UserError
from latentreason_eval.metrics.paired import compare_shares
from latentreason_eval.metrics.passk import vote
from latentreason_eval.record import EvalRecord
from latentreason_eval.report.table import markdown_table, percent
from latentreason_eval.rules import none_votes
from latentreason_eval.runs import Run, load_runs

COSTS = ("prompt_tokens", "thoughts", "steps", "tokens", "seconds_per_question")


def compare(first: str | Path, second: str | Path) -> dict[str, Any]:
    """Compare two runs question by question.

    Returns:
        The fields of `metrics.paired.Paired` for the share of right samples, the labels, the costs
        of both, and `table`: Markdown. Where a run has several samples, also `majority`: the same
        fields for the votes over all samples of a question, ties going to the first seen.

    Raises:
        UserError: the runs are of different benchmarks, splits or data, or share no question.
    """
    one, two = load_runs([first, second])
    for name in ("benchmark", "split", "data"):
        if one.summary.get(name) != two.summary.get(name):
            raise UserError(
                f"run: {first} and {second} differ in {name} ({one.summary.get(name)!r} and "
                f"{two.summary.get(name)!r}); only runs on the same questions can be compared"
            )
    shares = [shares_by_id(run.records()) for run in (one, two)]
    common = [name for name in shares[0] if name in shares[1]]
    if not common:
        raise UserError(f"run: {first} and {second} have no scored question in common")
    paired = compare_shares([shares[0][i] for i in common], [shares[1][i] for i in common])
    votes = [votes_by_id(run.records(), none_votes(run.summary["rule"])) for run in (one, two)]
    majority = None
    if any(len(run.summary.get("pass_at_k", ())) > 1 for run in (one, two)):
        majority = vars(
            compare_shares([votes[0][i] for i in common], [votes[1][i] for i in common])
        )
    costs = {name: [run.summary.get(name) for run in (one, two)] for name in COSTS}
    found = {"labels": [one.label, two.label], "task": one.task, **vars(paired)}
    found |= {"majority": majority, "costs": costs}
    return found | {"table": _table(found, one, two)}


def shares_by_id(records: Sequence[EvalRecord]) -> dict[str, float]:
    """Return id -> share of right samples, over the samples that are no errors."""
    found: dict[str, list[bool]] = {}
    for record in records:
        if record.correct is not None:
            found.setdefault(record.id, []).append(record.correct)
    return {name: sum(verdicts) / len(verdicts) for name, verdicts in found.items()}


def votes_by_id(records: Sequence[EvalRecord], none_votes: bool = False) -> dict[str, float]:
    """Return id -> 1 where the answer that most samples gave is right, else 0; see `vote`."""
    found: dict[str, list[EvalRecord]] = {}
    for record in sorted(records, key=lambda record: record.sample):
        if record.correct is not None:
            found.setdefault(record.id, []).append(record)
    verdicts = {}
    for name, samples in found.items():
        chosen = vote([record.key for record in samples], none_votes=none_votes)
        right = any(record.correct for record in samples if record.key == chosen)
        verdicts[name] = float(chosen is not None and right)
    return verdicts


def _table(found: dict[str, Any], one: Run, two: Run) -> str:
    rows = _paired_rows("accuracy", found)
    if found["majority"] is not None:
        rows += _paired_rows("majority vote", found["majority"])
    for name, (left, right) in found["costs"].items():
        if left or right:
            ratio = f"x {right / left:.2f}" if left and right is not None else "-"
            rows.append([name.replace("_", " "), _figure(left), _figure(right), ratio])
    head = [f"{found['task']}, n = {found['n']}", one.label, two.label, "second against first"]
    return markdown_table(head, rows)


def _paired_rows(name: str, paired: dict[str, Any]) -> list[list[str]]:
    interval = f"[{100 * paired['ci_low']:+.1f}, {100 * paired['ci_high']:+.1f}]"
    difference = f"{100 * paired['difference']:+.1f} {interval}"
    rows = [[name, percent(paired["first"]), percent(paired["second"]), difference]]
    if paired["p_value"] is not None:
        only = [str(paired["only_first"]), str(paired["only_second"])]
        test = f"McNemar p = {paired['p_value']:.2g}"
        rows.append(["right where the other is wrong", *only, test])
    return rows


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
