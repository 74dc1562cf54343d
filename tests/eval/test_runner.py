"""The runner: same scores for any batching, on two ranks, and after being killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latentreason.errors import DataError
from latentreason.registry import METHODS
from latentreason_eval.api import evaluate
from latentreason_eval.record import read_records
from latentreason_eval.runner import derangement
from latentreason_eval.store import RunFolder

LIMIT = 40
SCRIPT = """
import sys
from latentreason_eval.api import evaluate
row = evaluate(sys.argv[1], "state_tracking", out=sys.argv[2], limit=int(sys.argv[3]),
               batch_size=7, num_samples=2, temperature=1.0, show_progress=False)
"""


def score(checkpoint: Path, out: Path, **arguments: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"limit": LIMIT, "num_samples": 2, "temperature": 1.0}
    return evaluate(
        str(checkpoint), "state_tracking", out=out, show_progress=False, **options | arguments
    )


def verdicts(out: Path) -> list[tuple[Any, ...]]:
    return [
        (r.index, r.sample, r.text, r.answer, r.correct, r.num_tokens, r.num_thoughts)
        for r in read_records(out / "records.jsonl")
    ]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_batching_changes_nothing_on_a_checkpoint_of_every_method(
    tiny_checkpoints, tmp_path, method
):
    rows = {}
    for size in (1, 7, 64):
        score(tiny_checkpoints[method], tmp_path / str(size), batch_size=size)
        rows[size] = verdicts(tmp_path / str(size))
    assert len(rows[1]) == 2 * LIMIT
    assert len({row[2] for row in rows[1]}) > 5
    assert rows[1] == rows[7] == rows[64]


def test_controls_of_a_checkpoint_are_scored(tiny_checkpoints, tmp_path):
    row = score(tiny_checkpoints["coconut"], tmp_path / "o", num_samples=1, controls=True)
    modes = [control["thought_mode"] for control in row["controls"]]
    assert modes == ["none", "zero", "mean", "noise", "shuffle", "pause"]
    assert row["thoughts"] == 3
    assert row["controls"][0]["thoughts"] == 0


def test_two_ranks_write_the_records_of_one(tiny_checkpoints, tmp_path, environment):
    checkpoint = tiny_checkpoints["coconut"]
    one = score(checkpoint, tmp_path / "one", batch_size=7)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", str(script), str(checkpoint), str(tmp_path / "two")]
    subprocess.run([*command, str(LIMIT)], check=True, timeout=100, env=environment)
    assert verdicts(tmp_path / "two") == verdicts(tmp_path / "one")
    two = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert two["accuracy"] == one["accuracy"]
    assert [path.name for path in (tmp_path / "two").glob("records*")] == ["records.jsonl"]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the evaluator may catch it."""


def test_a_killed_run_goes_on_without_asking_twice(fake_model, sums_file, tmp_path):
    def run(model: Any) -> dict[str, Any]:
        return evaluate(
            "fake",
            "state_tracking",
            data=str(sums_file),
            out=tmp_path / "o",
            model=model,
            batch_size=4,
            num_samples=2,
            show_progress=False,
        )

    first = fake_model(wrong={2})
    answer = first.generate

    def generate(prompts: list[str], **arguments: Any) -> Any:
        if len(first.calls) == 3:
            raise Killed
        return answer(prompts, **arguments)

    first.generate = generate
    with pytest.raises(Killed):
        run(first)
    (partial,) = (tmp_path / "o").glob("records.rank0.jsonl")
    whole = partial.read_text().splitlines(keepends=True)
    assert len(whole) == 24
    # As kill -9 may leave it: half a line, and a question of whose two samples one is there.
    partial.write_text("".join(whole[:22]) + whole[22][:40])
    second = fake_model(wrong={2})
    row = run(second)
    asked = [prompt for call in second.calls if len(call) > 1 for prompt in call]
    done = {json.loads(line)["question"] for line in whole[:22]}
    assert len(asked) == 30 - 11
    assert not done & set(asked)
    records = list(read_records(tmp_path / "o" / "records.jsonl"))
    assert [(r.index, r.sample) for r in records] == [(i, s) for i in range(30) for s in (0, 1)]
    assert row["n"] == 30


def test_a_checkpoint_killed_and_resumed_scores_as_uninterrupted(tiny_checkpoints, tmp_path):
    checkpoint = tiny_checkpoints["cot"]
    score(checkpoint, tmp_path / "whole", batch_size=7)
    score(checkpoint, tmp_path / "parts", batch_size=5, limit=17)
    score(checkpoint, tmp_path / "parts", batch_size=9)
    assert verdicts(tmp_path / "parts") == verdicts(tmp_path / "whole")


def test_errors_are_asked_again_and_right_ones_are_kept(tmp_path, fake_model, sums_file):
    out = tmp_path / "o"
    options: dict[str, Any] = {"data": str(sums_file), "show_progress": False}
    evaluate("fake", "state_tracking", out=out, model=fake_model(), **options)
    records = list(read_records(out / "records.jsonl"))
    records[5].error, records[5].correct = "timeout", None
    (out / "records.jsonl").write_text("".join(record.line() for record in records))
    model = fake_model()
    row = evaluate("fake", "state_tracking", out=out, model=model, **options)
    assert model.calls[0] == [records[5].question]
    assert (row["errors"], row["n"]) == (0, 30)


def test_a_broken_record_is_named_with_its_line(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"id": "a"}\n{broken\n')
    with pytest.raises(DataError, match=r"records\.jsonl:1"):
        list(read_records(path))


def test_records_without_settings_are_not_taken_for_a_run(tmp_path):
    (tmp_path / "records.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"no run\.json"):
        RunFolder(tmp_path).open({})


def test_donors_never_stay_in_their_place():
    for count in (2, 3, 10, 101):
        donors = derangement(count, seed=3)
        assert sorted(donors) == list(range(count))
        assert all(here != there for here, there in enumerate(donors))
    assert derangement(10, 0) == derangement(10, 0) != derangement(10, 1)
    assert derangement(1, 0) == []
