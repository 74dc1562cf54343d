"""evaluate: the figures, the folder, controls and sweeps, refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latentreason.errors import UserError
from latentreason_eval.api import evaluate
from latentreason_eval.evaluation import parse_sweep


def score(model: Any, data: Path, out: Path, **arguments: Any) -> dict[str, Any]:
    return evaluate(
        "fake",
        "state_tracking",
        data=str(data),
        out=out,
        model=model,
        show_progress=False,
        **arguments,
    )


def test_the_summary_counts_right_answers_and_cost(fake_model, sums_file, tmp_path):
    row = score(fake_model(wrong={0, 4, 9}), sums_file, tmp_path / "o", batch_size=7)
    assert row["n"] == 30
    assert row["accuracy"] == pytest.approx(27 / 30)
    assert row["ci_low"] < row["accuracy"] < row["ci_high"]
    assert (row["tokens"], row["thoughts"], row["errors"]) == (2, 3, 0)
    assert row["seconds_per_question"] > 0
    assert row["flops_per_sample"] == pytest.approx(2000 * (row["prompt_tokens"] + 3 + 2))
    written = json.loads((tmp_path / "o" / "summary.json").read_text())
    assert written["accuracy"] == row["accuracy"]
    assert {"versions", "commit", "command"} <= set(written)


def test_one_record_per_question_in_row_order(fake_model, sums_file, tmp_path):
    score(fake_model(wrong={3}), sums_file, tmp_path / "o", batch_size=4)
    lines = (tmp_path / "o" / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["index"] for record in records] == list(range(30))
    assert [record["index"] for record in records if not record["correct"]] == [3]
    assert records[3]["answer"] == str(int(records[3]["gold"]) + 1)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_changes_no_record(fake_model, sums_file, tmp_path, batch_size):
    def verdicts(size: int, name: str) -> list[tuple[Any, ...]]:
        score(fake_model(wrong={5}), sums_file, tmp_path / name, batch_size=size, num_samples=2)
        lines = (tmp_path / name / "records.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        return [(r["id"], r["sample"], r["text"], r["correct"]) for r in rows]

    assert verdicts(batch_size, "a") == verdicts(3, "b")


def test_controls_and_sweep_are_rows_of_their_own(fake_model, sums_file, tmp_path):
    out = tmp_path / "o"
    row = score(fake_model(), sums_file, out, controls=True, sweep="thoughts=0..2")
    modes = {control["thought_mode"]: control["accuracy"] for control in row["controls"]}
    assert modes == {"none": 1.0, "zero": 0.0, "shuffle": 1.0}
    assert [(r["num_thoughts"], r["thoughts"]) for r in row["sweep"]] == [(0, 0), (1, 1), (2, 2)]
    assert (out / "thought_mode=zero" / "records.jsonl").is_file()
    assert (out / "thoughts=2" / "summary.json").is_file()


def test_shuffle_gets_another_question_for_every_row(fake_model, sums_file, tmp_path):
    model = fake_model()
    score(model, sums_file, tmp_path / "o", thought_mode="shuffle", batch_size=64)
    donors, prompts = model.arguments[0]["donors"], model.calls[0]
    assert sorted(donors) == sorted(prompts)
    assert all(donor != prompt for donor, prompt in zip(donors, prompts, strict=True))


def test_a_finished_run_asks_nothing_again(fake_model, sums_file, tmp_path):
    first = score(fake_model(wrong={1}), sums_file, tmp_path / "o")
    model = fake_model(wrong={1})
    again = score(model, sums_file, tmp_path / "o")
    assert model.calls == []
    assert again == first


def test_eight_questions_are_timed_one_at_a_time_after_a_warm_up(fake_model, sums_file, tmp_path):
    model = fake_model()
    score(model, sums_file, tmp_path / "o", batch_size=30)
    assert [len(call) for call in model.calls] == [30] + [1] * 9
    silent = fake_model()
    score(silent, sums_file, tmp_path / "p", batch_size=30, measure_latency=False)
    assert [len(call) for call in silent.calls] == [30]


def test_other_settings_do_not_continue_a_folder(fake_model, sums_file, tmp_path):
    score(fake_model(), sums_file, tmp_path / "o")
    with pytest.raises(UserError, match="temperature"):
        score(fake_model(), sums_file, tmp_path / "o", temperature=1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_size": 0}, "batch_size: 0"),
        ({"limit": 0}, "limit: 0"),
        ({"thought_mode": "dream"}, 'thought_mode: "dream"'),
        ({"thought_mode": "noise"}, 'thought_mode: "noise" is not defined for a fake'),
        ({"sweep": "thoughts"}, "sweep"),
        ({"sweep": "layers=1,2"}, 'sweep: "layers"'),
        ({"extractor": "numbr"}, 'did you mean "number"'),
        ({"split": "tset"}, 'did you mean "test"'),
        ({"num_thoughts": -1}, "num_thoughts: -1"),
        ({"sweep": "steps=1,2"}, "num_steps: method fake has no denoising steps"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(
    fake_model, sums_file, tmp_path, arguments, words
):
    with pytest.raises(UserError, match=words) as error:
        score(fake_model(), sums_file, tmp_path / "o", **arguments)
    assert "\n" not in str(error.value)


def test_the_benchmark_is_looked_up_before_the_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r'"prosqq" is not known \(did you mean "prosqa"'):
        evaluate(str(tmp_path / "none"), "prosqq", out=tmp_path / "o")


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        evaluate(str(tmp_path), "prosqa", out=tmp_path / "o")
    with pytest.raises(UserError, match="nowhere"):
        evaluate(str(tmp_path / "nowhere"), "prosqa", out=tmp_path / "o")


def test_bad_data_files_are_named_with_the_line(fake_model, tmp_path):
    broken, empty = tmp_path / "broken.json", tmp_path / "empty.json"
    broken.write_text('[{"question": "a", "steps": ["b"], "answer": "c"},\n {"question": 3}]\n')
    empty.write_text("")
    for path, words in ((broken, "broken.json:2"), (empty, "empty.json is empty")):
        with pytest.raises(UserError, match=words):
            score(fake_model(), path, tmp_path / "o")
    with pytest.raises(UserError, match=r"nowhere.json is not a file"):
        score(fake_model(), tmp_path / "nowhere.json", tmp_path / "o")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("thoughts=0..3", {"thoughts": [0, 1, 2, 3]}),
        ("steps=5,10,30", {"steps": [5, 10, 30]}),
        (None, {}),
    ],
)
def test_sweeps_are_ranges_or_lists(text, parsed):
    assert parse_sweep(text) == parsed


def test_denoising_steps_are_swept_where_the_method_has_them(fake_model, sums_file, tmp_path):
    class Denoiser(fake_model):
        def generate(self, prompts: list[str], *, num_steps: int | None = None, **more: Any) -> Any:
            found = super().generate(prompts, **more)
            for generation in found:
                generation.num_steps = num_steps or 50
            return found

    row = score(Denoiser(), sums_file, tmp_path / "o", sweep="steps=5,10")
    assert [(r["num_steps"], r["steps"]) for r in row["sweep"]] == [(5, 5), (10, 10)]
    assert row["steps"] == 50
    # Latent positions pass once per step: 3 thoughts in 50 steps.
    assert row["flops_per_sample"] == pytest.approx(2000 * (row["prompt_tokens"] + 150 + 2))


def test_another_prompt_of_the_same_weights_is_another_evaluation(fake_model, sums_file, tmp_path):
    model = fake_model()
    model.config.template_hash = "one"
    assert score(model, sums_file, tmp_path / "out")["template_hash"] == "one"
    score(model, sums_file, tmp_path / "out")
    model.config.template_hash = "two"
    with pytest.raises(UserError, match="with template_hash = 'one', not 'two'"):
        score(model, sums_file, tmp_path / "out")
