"""The runner: same scores for any batching, on two ranks, and after being killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import latentreason
from latentreason.errors import DataError, UserError
from latentreason.registry import METHODS
from latentreason_eval.api import evaluate
from latentreason_eval.record import read_records
from latentreason_eval.runner import derangement
from latentreason_eval.store import RunFolder

LIMIT = 40
SCRIPT = """
import sys
from latentreason_eval.api import evaluate
limit, batch_size, out, *checkpoints = sys.argv[1:]
for checkpoint in checkpoints:
    evaluate(checkpoint, "state_tracking", out=f"{out}/{checkpoint.split('/')[-1]}",
             limit=int(limit), batch_size=int(batch_size), num_samples=2, temperature=1.0,
             show_progress=False)
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
    checkpoints = {name: tiny_checkpoints[name] for name in METHODS}
    one = {
        name: score(path, tmp_path / "one" / name, batch_size=7)
        for name, path in checkpoints.items()
    }
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--standalone", str(script), str(LIMIT), "7", str(tmp_path / "two")]
    command += map(str, checkpoints.values())
    subprocess.run(command, check=True, timeout=110, env=environment)
    for name, row in one.items():
        two = tmp_path / "two" / name
        assert verdicts(two) == verdicts(tmp_path / "one" / name), name
        assert json.loads((two / "summary.json").read_text())["accuracy"] == row["accuracy"]
        assert [path.name for path in two.glob("records*")] == ["records.jsonl"]


def test_after_kill_9_the_rest_is_asked_and_nothing_twice(tiny_checkpoints, tmp_path, environment):
    checkpoint, limit = tiny_checkpoints["coconut"], 200
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(limit), "1", str(tmp_path / "killed")]
    process = subprocess.Popen([*command, str(checkpoint)], env=environment)
    records = tmp_path / "killed" / checkpoint.name / "records.rank0.jsonl"
    deadline = time.monotonic() + 100
    while not (records.is_file() and records.read_text().count("\n") >= 40):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = {json.loads(line)["index"] for line in records.read_text().splitlines()[:-2]}
    assert 20 <= len(done) + 1 < limit
    model = latentreason.load(checkpoint)
    asked: list[int] = []
    generate = model.generate
    model.generate = lambda *a, ids, **k: asked.extend(ids) or generate(*a, ids=ids, **k)
    options: dict[str, Any] = {"limit": limit, "measure_latency": False, "batch_size": 64}
    score(checkpoint, tmp_path / "killed" / checkpoint.name, model=model, **options)
    assert not done & set(asked)
    assert len(asked) == len(set(asked))
    score(checkpoint, tmp_path / "whole", **options)
    assert verdicts(tmp_path / "killed" / checkpoint.name) == verdicts(tmp_path / "whole")


def test_a_plain_causal_lm_is_scored(tiny_checkpoints, tmp_path):
    model = latentreason.load(tiny_checkpoints["coconut"])
    model.export(tmp_path / "plain")
    row = score(tmp_path / "plain", tmp_path / "o", num_samples=1, temperature=0.0, controls=True)
    assert (row["n"], row["thoughts"], row["controls"]) == (LIMIT, 0, [])
    for arguments, words in (
        ({"thought_mode": "zero"}, "thought_mode"),
        ({"sweep": "thoughts=0..2"}, "num_thoughts: method cot has no thoughts"),
    ):
        with pytest.raises(UserError, match=words):
            score(tmp_path / "plain", tmp_path / "p", **arguments)
    assert not (tmp_path / "p").exists()


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


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_checkpoint_interrupted_and_resumed_scores_as_uninterrupted(
    tiny_checkpoints, tmp_path, method
):
    checkpoint = tiny_checkpoints[method]
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
