"""What an evaluation leaves in the folder of the checkpoint that it scored."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import latentreason
from latentreason_eval import distributed
from latentreason_eval.api import evaluate
from latentreason_eval.backends.model import ModelBackend, weights_fingerprint
from latentreason_eval.benchmark import find_benchmark
from latentreason_eval.evaluation import Evaluation
from latentreason_eval.provenance import provenance
from latentreason_eval.sources import load_split


@pytest.fixture
def run(tiny_checkpoints, tmp_path) -> Path:
    """A run folder with one checkpoint, as training leaves it."""
    folder = tmp_path / "run"
    shutil.copytree(tiny_checkpoints["coconut"], folder / "checkpoints" / "step-00000001")
    (folder / "last").symlink_to("checkpoints/step-00000001")
    return folder


def score(checkpoint: Path, out: Path, **arguments: Any) -> dict[str, Any]:
    options = {"limit": 6, "show_progress": False, "measure_latency": False}
    return evaluate(str(checkpoint), "state_tracking", out=out, **options | arguments)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_card_lists_an_evaluation_that_was_written_elsewhere(run, tmp_path):
    row = score(run, tmp_path / "scores", controls=True)
    card = (run / "last" / "README.md").read_text()
    assert "Not evaluated yet" not in card
    assert f"| state_tracking | {row['split']} | {row['rule']} | normal |" in card
    assert "name: accuracy (n = 6 of " in card
    assert "| zero |" not in card
    score(run, tmp_path / "zero", thought_mode="zero")
    both = (run / "last" / "README.md").read_text()
    assert "| zero |" in both
    assert both.count("type: accuracy") == 1
    [kept, _] = json.loads((run / "last" / "evaluations.json").read_text())
    assert kept["accuracy"] == row["accuracy"]
    assert kept["questions"] > 6
    assert "controls" not in kept


def test_an_evaluated_checkpoint_is_the_same_checkpoint(run, tmp_path):
    before, files = weights_fingerprint(str(run)), contents(run / "last")
    row = score(run, tmp_path / "scores")
    changed = {"README.md", "evaluations.json"}
    after = contents(run / "last")
    assert {name for name in after if after[name] != files.get(name)} == changed
    assert weights_fingerprint(str(run)) == before == row["weights"]
    # The folder of results is continued: other weights would be refused.
    assert score(run, tmp_path / "scores")["accuracy"] == row["accuracy"]
    assert len(json.loads((run / "last" / "evaluations.json").read_text())) == 1


def test_weights_that_were_replaced_meanwhile_get_no_result(run, tmp_path):
    model = latentreason.load(run)
    generate = model.generate

    def slow(*prompts: Any, **options: Any) -> Any:
        os.utime(run / "last" / "model.safetensors", (1, 1))
        return generate(*prompts, **options)

    model.generate = slow
    before = contents(run / "last")
    score(run, tmp_path / "scores", model=model)
    assert contents(run / "last") == before


def test_a_model_from_elsewhere_gives_a_checkpoint_no_result(
    run, tiny_checkpoints, fake_model, sums_file, tmp_path
):
    other = Path(shutil.copytree(tiny_checkpoints["pause"], tmp_path / "other"))
    before = contents(run / "last"), contents(other)
    score(run, tmp_path / "a", model=latentreason.load(other))
    score(run, tmp_path / "b", model=fake_model(), data=str(sums_file))
    assert (contents(run / "last"), contents(other)) == before


def test_a_plain_model_s_folder_stays_as_it_is(run, tmp_path):
    plain = tmp_path / "plain"
    latentreason.load(run).export(plain)
    before = contents(plain)
    score(plain, tmp_path / "scores")
    assert contents(plain) == before


@pytest.mark.parametrize("rank", [0, 1])
def test_rank_0_alone_writes(run, tmp_path, monkeypatch, rank):
    row = score(run, tmp_path / "scores", model=latentreason.load(run))
    (run / "last" / "evaluations.json").unlink()
    benchmark = find_benchmark("state_tracking")
    backend = ModelBackend(latentreason.load(run), 8, str(run))
    evaluation = Evaluation(
        backend, benchmark, load_split(benchmark), benchmark.rule(), tmp_path / "two"
    )
    monkeypatch.setattr(distributed, "rank_and_size", lambda: (rank, 2))
    monkeypatch.setattr(distributed, "barrier", lambda: None)
    evaluation.finish(row)
    assert (run / "last" / "evaluations.json").exists() == (rank == 0)
    assert (tmp_path / "two" / "summary.json").exists() == (rank == 0)


def test_evaluator_and_card_know_the_same_commit():
    from latentreason.card import git_commit

    assert provenance()["commit"] == git_commit()
