"""The documents of the evaluator: the example benchmark works, and every name in them exists."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from latentreason_eval.api import check_benchmarks, evaluate
from latentreason_eval.benchmark import Benchmark
from latentreason_eval.extraction.kinds import KINDS
from latentreason_eval.extraction.legacy import LEGACY
from latentreason_eval.extraction.places import PLACES
from latentreason_eval.verification.registry import VERIFIERS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_example_benchmark_loads_checks_and_scores(tmp_path, monkeypatch, fake_model):
    text = (DOCS / "add_benchmark.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_sums.yaml").write_text(block)
    (tmp_path / "my_sums").mkdir()
    rows = [("add 1 2", "3"), ("add", ""), ("add 4 5", "9")]
    (tmp_path / "my_sums" / "test.json").write_text(
        json.dumps([{"question": q, "steps": [], "answer": a} for q, a in rows])
    )
    monkeypatch.setenv("LATENTREASON_DATA", str(tmp_path))
    path = str(tmp_path / "my_sums.yaml")
    (row,) = check_benchmarks([path])
    assert (row["n"], row["excluded"], row["gold_accuracy"], row["wrong_accuracy"]) == (2, 1, 1, 0)
    summary = evaluate("fake", path, out=tmp_path / "o", model=fake_model(), show_progress=False)
    assert (summary["n"], summary["accuracy"]) == (2, 1.0)


def test_the_documents_name_all_there_is():
    evaluation = (DOCS / "evaluation.md").read_text(encoding="utf-8")
    missing = [n for n in (*KINDS, *PLACES, *LEGACY) if f"`{n}`" not in evaluation]
    assert not missing
    adding = (DOCS / "add_benchmark.md").read_text(encoding="utf-8")
    keys = {item.name for item in fields(Benchmark)} - {"title", "note"}
    assert not [key for key in keys if f"`{key}`" not in adding]
    assert not [name for name in VERIFIERS if name != "exact" and f"`{name}`" not in adding]


def test_python_blocks_run():
    for path in (DOCS / "evaluation.md", DOCS / "add_benchmark.md"):
        for block in re.findall(
            r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL
        ):
            exec(compile(block, str(path), "exec"), {})
