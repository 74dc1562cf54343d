"""Phases, resets, checkpoints and what a run writes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from runs import (
    assert_near_run,
    assert_same_run,
    losses,
    metrics,
    optimizer_state,
    recipe,
    run,
    weights,
)

from latentreason.errors import DataError
from latentreason.training import train

DROPOUT = ("model.config.resid_pdrop=0.1", "model.config.embd_pdrop=0.1",
           "model.config.attn_pdrop=0.1")  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run of three phases, uninterrupted."""
    return run(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def dropped(tmp_path_factory):
    """The same with dropout and stage mixing."""
    return run(tmp_path_factory.mktemp("dropped"), *DROPOUT, "method.stage_mixing=0.3")


def steps(folder):
    return [record["step"] for record in metrics(folder) if "loss" in record]


def kept(folder):
    return sorted(int(path.name[5:]) for path in (folder / "checkpoints").iterdir())


def test_stages_follow_the_phases_and_every_epoch_is_one_pass(plain):
    records = metrics(plain)
    assert [r["step"] for r in records] == list(range(1, 16))
    assert [r["stage"] for r in records] == [0] * 5 + [1] * 5 + [2] * 5
    assert [r["epoch"] for r in records] == [0] * 5 + [1] * 5 + [2] * 5
    config = json.loads((plain / "last" / "config.json").read_text())
    assert (config["stage"], config["num_thoughts"]) == (2, 2)
    assert losses(plain)[4] < losses(plain)[0]


def test_a_run_repeats_bit_by_bit(tmp_path, dropped):
    assert_same_run(run(tmp_path, *DROPOUT, "method.stage_mixing=0.3"), dropped)


def test_another_seed_is_another_run(tmp_path, plain):
    other = run(tmp_path, "run.seed=1", "train.max_steps=1")
    assert losses(other)[0] != losses(plain)[0]


@pytest.mark.parametrize("stops", [(2,), (5,), (7, 9), (10, 14)])
def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path, dropped, stops):
    words = (*DROPOUT, "method.stage_mixing=0.3")
    for stop in stops:
        run(tmp_path, *words, f"train.max_steps={stop}")
        assert steps(tmp_path / "run")[-1] == stop
    run(tmp_path, *words)
    assert_same_run(tmp_path / "run", dropped)


def test_a_finished_run_stays_as_it_is(tmp_path):
    folder = run(tmp_path, "train.max_steps=2")
    before, curve = weights(folder), metrics(folder)
    run(tmp_path, "train.max_steps=2")
    assert metrics(folder) == curve
    assert all(torch.equal(before[name], value) for name, value in weights(folder).items())


def test_checkpoints_in_between_change_nothing(tmp_path, dropped):
    words = (*DROPOUT, "method.stage_mixing=0.3", "train.save_every=2", "train.keep_last=3")
    folder = run(tmp_path, *words)
    assert_same_run(folder, dropped)
    assert kept(folder) == [12, 14, 15]


def test_metrics_of_steps_after_the_last_checkpoint_are_not_doubled(tmp_path, dropped):
    """As a killed run leaves them: lines ahead of the checkpoint, the last one cut off."""
    words = (*DROPOUT, "method.stage_mixing=0.3")
    folder = run(tmp_path, *words, "train.max_steps=7")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "epoch": 1, "stage": 1, "loss": 1.0, "lr": 0.01}\n{"step": 9, "epo')
    run(tmp_path, *words)
    assert_same_run(folder, dropped)


def test_workers_and_recomputation_change_nothing(tmp_path, plain):
    assert_same_run(run(tmp_path / "workers", "train.num_workers=2"), plain)
    assert_near_run(run(tmp_path / "recomputed", "train.activation_checkpointing=true"), plain)


def test_recomputation_sees_the_same_dropout(tmp_path, dropped):
    words = (*DROPOUT, "method.stage_mixing=0.3", "train.activation_checkpointing=true")
    assert_near_run(run(tmp_path, *words), dropped)


def test_a_phase_ends_once_its_loss_is_low(tmp_path):
    phases = "[{stage: 0, steps: 20, until_loss: 1000, window: 3}, {stage: 1, steps: 2}]"
    folder = run(tmp_path, f"train.phases={phases}")
    assert [r["stage"] for r in metrics(folder)] == [0] * 3 + [1] * 2


def test_patience_survives_a_resume(tmp_path, plain):
    curve = losses(run(tmp_path / "whole", "train.phases=[{stage: 0, steps: 15}]"))
    means = [sum(curve[i - 3 : i + 1]) / 4 for i in range(3, 15)]
    bar = (means[5] + min(means[:5])) / 2
    assert means[5] < bar < min(means[:5]), "the loss falls"
    phases = f"[{{stage: 0, steps: 15, until_loss: {bar}, window: 4}}, {{stage: 1, steps: 1}}]"
    run(tmp_path, f"train.phases={phases}", "train.max_steps=7")
    folder = run(tmp_path, f"train.phases={phases}")
    assert [r["stage"] for r in metrics(folder)] == [0] * 9 + [1]


def test_fractional_epochs_and_ranges(tmp_path):
    phases = "[{stage: 0-2, epochs: 0.4}, {stage: 3, epochs: 1.4}]"
    records = metrics(run(tmp_path, f"train.phases={phases}"))
    assert [r["stage"] for r in records] == [0] * 2 + [1] * 2 + [2] * 2 + [3] * 7
    # A new phase begins a new pass; the long one goes on into a second.
    assert [r["epoch"] for r in records] == [0] * 2 + [1] * 2 + [2] * 2 + [3] * 5 + [4] * 2


@pytest.mark.parametrize(("reset", "expected"), [("never", 16), ("stage", 11), ("epoch", 1)])
def test_the_optimizer_is_reset_when_asked(tmp_path, reset, expected):
    phases = "[{stage: 0, epochs: 1}, {stage: 1, steps: 11}]"
    folder = run(tmp_path, f"optim.reset={reset}", f"train.phases={phases}")
    assert {int(state["step"]) for state in optimizer_state(folder).values()} == {expected}


@pytest.mark.parametrize("reset", ["stage", "epoch"])
@pytest.mark.parametrize("stop", [5, 7])
def test_resets_are_exact_across_a_resume(tmp_path, reset, stop):
    whole = run(tmp_path / "whole", f"optim.reset={reset}")
    run(tmp_path / "cut", f"optim.reset={reset}", f"train.max_steps={stop}")
    assert_same_run(run(tmp_path / "cut", f"optim.reset={reset}"), whole)


class Script:
    """Validation figures by a script, one for each call."""

    def __init__(self, *accuracies):
        self.left = list(accuracies)
        self.asked = []

    def __call__(self, model, examples):
        self.asked.append(len(examples))
        return {"accuracy": self.left.pop(0), "tokens": 2.0}


def test_best_is_chosen_within_the_final_stage(tmp_path):
    # Validations at steps 3 and 6, at the end of each phase (5, 10), at 9, 12 and at the end (15).
    script = Script(0.9, 0.9, 0.9, 0.9, 0.75, 0.5, 0.25)
    folder = run(tmp_path, "eval.every=3", validate=script)
    figures = {r["step"]: r["valid_accuracy"] for r in metrics(folder) if "valid_accuracy" in r}
    assert figures == {3: 0.9, 5: 0.9, 6: 0.9, 9: 0.9, 10: 0.75, 12: 0.5, 15: 0.25}
    assert set(script.asked) == {6}
    assert (folder / "best").resolve().name == "step-00000012"
    assert (folder / "last").resolve().name == "step-00000015"
    assert kept(folder) == [12, 15]


def test_an_epoch_is_a_time_to_validate_and_to_save(tmp_path):
    words = ("eval.every=epoch", "train.save_every=epoch", "train.keep_last=3")
    phases = "train.phases=[{stage: 0, steps: 3}, {stage: 2, epochs: 3}]"
    folder = run(tmp_path, *words, phases, validate=Script(0.75, 0.25, 0.5, 0.125))
    figures = {r["step"]: r["valid_accuracy"] for r in metrics(folder) if "valid_accuracy" in r}
    assert figures == {3: 0.75, 8: 0.25, 13: 0.5, 18: 0.125}
    assert (folder / "best").resolve().name == "step-00000013"
    assert kept(folder) == [8, 13, 18]


def test_best_survives_resume_and_later_saves(tmp_path):
    words = ("eval.every=3", "train.save_every=1", "train.keep_last=2")
    run(tmp_path, *words, "train.max_steps=13", validate=Script(0.9, 0.9, 0.9, 0.9, 0.8, 0.5))
    folder = run(tmp_path, *words, validate=Script(0.3))
    assert (folder / "best").resolve().name == "step-00000012"
    assert kept(folder) == [12, 14, 15]


def test_train_returns_the_best_checkpoint(tmp_path):
    from runs import recipe

    from latentreason.training import train

    result = train(recipe(tmp_path, "eval.every=3"), Script(0, 0, 0, 0, 0, 0.5, 0.3))
    assert result.checkpoint.resolve().name == "step-00000012"


class Killed(BaseException):
    """Stands for kill -9."""


@pytest.mark.parametrize("survived", range(5))
def test_a_step_saved_again_is_never_lost(tmp_path, monkeypatch, survived):
    """Killed at any file operation of the second save, one of the two copies is found."""
    from latentreason.training import checkpoints as module

    folder = run(tmp_path, "train.max_steps=2")
    checkpoints = module.Checkpoints(folder)
    before = (checkpoints.path(2) / "config.json").read_text()
    (checkpoints.begin(2) / "config.json").write_text("new")
    left = [survived]

    def mortal(operation):
        def run_or_die(*args, **kwargs):
            if not left[0]:
                raise Killed
            left[0] -= 1
            return operation(*args, **kwargs)

        return run_or_die

    with monkeypatch.context() as patch:
        for name in ("rename", "replace", "symlink_to"):
            patch.setattr(module.Path, name, mortal(getattr(module.Path, name)))
        patch.setattr(module.shutil, "rmtree", mortal(module.shutil.rmtree))
        try:
            checkpoints.commit(2)
        except Killed:
            assert survived < 5
    restarted = module.Checkpoints(folder)
    restarted.recover()
    assert restarted.complete() == [restarted.path(2)]
    assert (restarted.path(2) / "config.json").read_text() in ("new", before)
    assert (folder / "last" / "config.json").is_file()


def test_leftovers_of_a_killed_save_are_cleared(tmp_path):
    folder = run(tmp_path, "train.max_steps=2")
    leftover = folder / "checkpoints" / "step-00000004.tmp"
    (leftover / "trainer_state").mkdir(parents=True)
    (leftover / "config.json").write_text("{")
    run(tmp_path, "train.max_steps=3")
    assert kept(folder) == [3]


def test_a_folder_with_checkpoints_can_be_refused(tmp_path):
    run(tmp_path, "train.max_steps=1")
    with pytest.raises(ValueError, match=r"run\.resume"):
        run(tmp_path, "run.resume=never")


@pytest.mark.parametrize("other", ["cot", "pause"])
def test_a_run_of_another_method_is_not_resumed(tmp_path, other):
    run(tmp_path, "train.max_steps=1")
    with pytest.raises(ValueError, match=r"run\.(resume|name)"):
        run(tmp_path, method=other)


def test_a_resumed_run_takes_the_optimizers_settings_from_its_recipe(tmp_path):
    run(tmp_path, "train.max_steps=2")
    folder = run(
        tmp_path, "train.max_steps=3", "optim.weight_decay=0.5", "optim.betas=[0.5, 0.6]",
        "optim.eps=0.001",
    )  # fmt: skip
    saved = torch.load(folder / "last" / "trainer_state" / "optimizer.pt")
    for group in saved["param_groups"]:
        assert (group["weight_decay"], group["betas"], group["eps"]) == (0.5, (0.5, 0.6), 0.001)


def test_a_run_of_another_shape_is_not_resumed(tmp_path):
    run(tmp_path, "train.max_steps=1")
    with pytest.raises(ValueError, match=r"^model: .* n_embd: 16, not 8"):
        run(tmp_path, "model.config.n_embd=8")


@pytest.mark.parametrize(
    "word", ["train.batch_size=2", "run.seed=7", "data.train.seed=5", "train.length_window=2"]
)
def test_a_run_begun_with_other_data_or_order_is_not_resumed(tmp_path, word):
    run(tmp_path, "train.max_steps=1")
    with pytest.raises(ValueError, match=word.split("=")[0].rsplit(".", 1)[0]):
        run(tmp_path, word)


def test_bf16_trains_and_keeps_fp32_weights_and_another_run_may_follow(tmp_path):
    curve = losses(run(tmp_path / "bf16", "train.precision=bf16"))
    assert all(math.isfinite(loss) for loss in curve)
    assert {w.dtype for w in weights(tmp_path / "bf16" / "run").values()} == {torch.float32}
    exact = losses(run(tmp_path / "fp32"))
    assert curve != exact
    assert curve == pytest.approx(exact, abs=0.1)


def test_tensorboard_gets_every_metric(tmp_path, plain):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run(tmp_path, "run.loggers=[tensorboard]")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    curve = events.Scalars("loss")
    assert [event.step for event in curve] == list(range(1, 16))
    assert [event.value for event in curve] == pytest.approx(losses(folder))


def test_the_run_folder_says_what_was_run(plain):
    from latentreason.recipes import load_recipe

    resolved = load_recipe(str(plain / "recipe.yaml"))
    assert resolved.train.batch_size == 8
    assert resolved.method.name == "coconut"
    versions = json.loads((plain / "versions.json").read_text())
    assert versions["torch"] == torch.__version__
    assert "commit" in versions


def test_log_every_thins_the_curve(tmp_path):
    assert steps(run(tmp_path, "train.log_every=4")) == [4, 8, 12]


def test_an_example_longer_than_the_positions_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="position"):
        run(tmp_path, "model.config.n_positions=12", "method.thoughts_per_step=4")


def test_training_learns(tmp_path):
    """A loss far below its start, which a broken gradient never sees."""
    curve = losses(run(tmp_path, "train.phases=[{stage: 0, steps: 60}]"))
    assert sum(curve[-5:]) < 0.75 * sum(curve[:5])


def test_a_plan_given_a_later_stage_chooses_its_best_anew(tmp_path):
    """The first stage's best is better, and says nothing about the last stage."""
    scores = iter([0.9, 0.5])

    def validate(model, examples):
        return {"accuracy": next(scores)}

    stages = [recipe(tmp_path, f"train.phases=[{phases}]", "data.valid.size=4") for phases in (
        "{stage: 0, steps: 2}", "{stage: 0, steps: 2}, {stage: 1, steps: 2}"
    )]  # fmt: skip
    first = train(stages[0], validate)
    assert (first.state.best, first.checkpoint.name) == (0.9, "best")
    second = train(stages[1], validate)
    assert (second.state.best, second.state.best_stage) == (0.5, 1)
    assert second.checkpoint.resolve() == (tmp_path / "run" / "last").resolve()


@pytest.mark.parametrize("words", [(), ("train.micro_batch_size=2",)], ids=["whole", "cut up"])
def test_a_term_without_weight_is_a_meter_and_no_part_of_the_loss(tmp_path, monkeypatch, words):
    """It is a mean over its own count, and nothing of it reaches loss, gradient or weights."""
    from latentreason.methods.coconut.model import Model

    plain = run(tmp_path / "plain", *words, "train.max_steps=7")
    collate, forward = Model.collate, Model.forward

    def counted(self, layouts, index):
        batch = collate(self, layouts, index)
        real = sum(place >= 0 for place in index)
        return batch | {"counts": {**batch["counts"], "sevens": real, "weight": real}}

    def metered(self, batch):
        weight = self.get_input_embeddings().weight.pow(2).sum()
        real = batch["counts"]["sevens"]
        return forward(self, batch) | {"sevens": (weight.new_tensor(7.0 * real), None),
                                       "weight": (weight * real, None)}  # fmt: skip

    monkeypatch.setattr(Model, "collate", counted)
    monkeypatch.setattr(Model, "forward", metered)
    folder = run(tmp_path / "metered", *words, "train.max_steps=7")
    for record, before in zip(metrics(folder), metrics(plain), strict=True):
        assert record.pop("sevens") == pytest.approx(7)
        assert record.pop("weight") > 0
        assert record == before, "no loss_answer either: there is one term"
    for name, value in weights(plain).items():
        assert torch.equal(value, weights(folder)[name]), name


def test_an_empty_answer_is_not_trained_on(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"question": "q", "steps": [], "answer": a} for a in ("1", " ")]))
    split = f"data.train={{reader: json, file: {path}}}"
    with pytest.raises(DataError, match=r"data\.train: example 1 has an empty answer"):
        run(tmp_path, split)
