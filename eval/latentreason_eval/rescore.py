"""`latentreason rescore`: judge recorded outputs again, by another rule or a newer benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from latentreason.errors import UserError
from latentreason_eval.benchmark import find_benchmark
from latentreason_eval.record import EvalRecord, read_records, rejudge
from latentreason_eval.rules import AnswerRule, named_rule
from latentreason_eval.runs import condition_folders, load_run
from latentreason_eval.store import RECORDS, SETTINGS, SUMMARY, write_json
from latentreason_eval.summary import summarise


def rescore(
    run: str | Path, *, out: str | Path, extractor: str | None = None, benchmark: str | None = None
) -> dict[str, Any]:
    """Judge all conditions of a run again, without a model, into another folder.

    Args:
        run: a folder that `eval` wrote.
        out: where the new records and summaries go; not `run` itself.
        extractor: name of an answer rule; None takes the benchmark's own as it is now.
        benchmark: name or YAML file of the benchmark, where the recorded name is not at hand.

    Returns:
        The main condition's new row, with `accuracy_before` and `changed`: ids of questions whose
        verdict is another one.

    Raises:
        UserError: the rule is not known, or `out` is the run itself.
    """
    source, target = Path(run), Path(out)
    if source.resolve() == target.resolve():
        raise UserError("out: the records would be overwritten; give another folder than the run")
    before = load_run(source)
    described = find_benchmark(benchmark or before.summary["benchmark"])
    rule = described.rule() if extractor is None else named_rule(extractor, kind=described.answer)
    rows: dict[str, dict[str, Any]] = {}
    changed: list[str] = []
    for folder in condition_folders(source):
        name = "" if folder == source else folder.name
        old = list(read_records(folder / RECORDS))
        verdicts = [record.correct for record in old]
        new = [rejudge(record, rule) for record in old]
        if not name:
            pairs = zip(verdicts, new, strict=True)
            changed = sorted({r.id for verdict, r in pairs if verdict != r.correct})
        rows[name] = _write(folder, target / name, new, rule, described.version)
    summary = rows[""] | {
        kind: [rows[row["label"]] for row in before.summary.get(kind, [])]
        for kind in ("controls", "sweep")
    }
    summary |= {
        "baselines": before.summary.get("baselines", []),
        "accuracy_before": before.summary["accuracy"],
        "changed": changed,
    }
    write_json(target / SUMMARY, summary)
    return summary


def _write(
    source: Path, target: Path, records: list[EvalRecord], rule: AnswerRule, version: int
) -> dict[str, Any]:
    settings = json.loads((source / SETTINGS).read_text(encoding="utf-8"))
    settings |= {"rule": rule.name, "benchmark_version": version, "rescored_from": str(source)}
    old = json.loads((source / SUMMARY).read_text(encoding="utf-8"))
    row = old | summarise(records, settings, none_votes=rule.none_votes)
    target.mkdir(parents=True, exist_ok=True)
    (target / RECORDS).write_text("".join(r.line() for r in records), encoding="utf-8")
    write_json(target / SETTINGS, settings)
    write_json(target / SUMMARY, row)
    return row
