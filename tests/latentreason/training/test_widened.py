"""EMA, torch.compile, batches of similar length, wandb."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from runs import assert_same_run, losses, recipe, run, weights

from latentreason.config import TrainConfig
from latentreason.data.example import Example
from latentreason.training.ema import Ema
from latentreason.training.order import Order, by_length, permutation


def test_the_average_follows_the_formula():
    model = torch.nn.Linear(2, 1, bias=False)
    expected = model.weight.detach().clone()
    ema = Ema(model, 0.9)
    for step in range(1, 120):
        with torch.no_grad():
            model.weight.add_(torch.randn(1, 2))
        ema.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(ema.average["weight"], expected)
    own = model.weight.detach().clone()
    with ema.applied():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert torch.equal(model.weight, own)


def test_the_average_is_what_is_saved_and_validated_and_does_not_change_the_training(tmp_path):
    seen = {}

    def watch(name):
        def validate(model, examples):
            seen[name] = model.get_input_embeddings().weight.detach().clone()
            return {"accuracy": 0.0}

        return validate

    plain = run(tmp_path / "plain", validate=watch("plain"))
    averaged = run(tmp_path / "ema", "train.ema=0.9", validate=watch("ema"))
    assert losses(plain) == losses(averaged)
    saved, raw = weights(averaged), weights(plain)
    name = "language_model.transformer.wte.weight"
    assert torch.equal(seen["ema"], saved[name])
    assert torch.equal(seen["plain"], raw[name])
    assert not torch.equal(saved[name], raw[name])
    state = torch.load(averaged / "last" / "trainer_state" / "weights.pt")
    assert torch.equal(state[name], raw[name])


def test_a_resumed_average_is_bit_equal(tmp_path):
    whole = run(tmp_path / "whole", "train.ema=0.9")
    cut = run(tmp_path / "cut", "train.ema=0.9", "train.max_steps=7")
    assert len(losses(cut)) == 7
    assert_same_run(run(tmp_path / "cut", "train.ema=0.9"), whole)


@pytest.mark.parametrize(("first", "second"), [("0.9", "null"), ("null", "0.9")])
def test_a_run_goes_on_with_or_without_an_average_as_it_began(tmp_path, first, second):
    run(tmp_path, f"train.ema={first}", "train.max_steps=2")
    with pytest.raises(ValueError, match=r"train.ema: .* this recipe says otherwise"):
        run(tmp_path, f"train.ema={second}")


@pytest.mark.parametrize("method", ["coconut", "cot"])
def test_a_compiled_model_trains_alike(tmp_path, method):
    words = ("train.max_steps=7",)
    plain = losses(run(tmp_path / "plain", *words, method=method))
    compiled = losses(run(tmp_path / "compiled", *words, "train.compile=aot_eager", method=method))
    assert compiled == pytest.approx(plain, rel=1e-4)


def examples(count=100):
    rng = np.random.default_rng(0)
    return [Example("x" * int(n), (), "y", {}) for n in rng.integers(1, 500, count)]


def test_batches_hold_examples_of_similar_length_and_every_example_once():
    made = examples()
    lengths = np.array([len(e.question) + 1 for e in made])
    order = Order(made, 0, TrainConfig(batch_size=8, length_window=5)).of_epoch(3, 1)
    assert sorted(order) == list(range(100))
    plain = permutation(0, 3, 1, 100)
    for start in range(0, 100, 40):
        window, before = order[start : start + 40], plain[start : start + 40]
        assert sorted(window) == sorted(before)
        batches = [sorted(lengths[window[at : at + 8]]) for at in range(0, len(window), 8)]
        batches.sort()
        assert all(left[-1] <= right[0] for left, right in pairwise(batches))


def test_the_order_by_length_is_a_function_of_seed_epoch_and_stage():
    config = TrainConfig(batch_size=8, length_window=5)
    first, again = (Order(examples(), 0, config) for _ in range(2))
    assert (first.of_epoch(2, 1) == again.of_epoch(2, 1)).all()
    others = [
        first.of_epoch(3, 1),
        first.of_epoch(2, 2),
        Order(examples(), 1, config).of_epoch(2, 1),
    ]
    for other in others:
        assert (other != first.of_epoch(2, 1)).any()


def test_batches_of_a_window_come_in_random_order():
    order, lengths = np.arange(80), np.arange(80)
    found = by_length(order, lengths, 8, 10, np.random.default_rng(0))
    firsts = found[::8].tolist()
    assert sorted(firsts) == list(range(0, 80, 8))
    assert firsts != sorted(firsts)


def test_a_run_by_length_resumes_bit_equal(tmp_path):
    words = ("train.length_window=2",)
    whole = run(tmp_path / "whole", *words)
    run(tmp_path / "cut", *words, "train.max_steps=7")
    assert_same_run(run(tmp_path / "cut", *words), whole)
    assert losses(whole) != losses(run(tmp_path / "plain"))


def test_wandb_gets_metrics_config_and_one_run_for_a_resumed_folder(tmp_path, monkeypatch):
    calls, logged = [], []

    def init(**options):
        calls.append(options)
        finish = lambda: calls.append("finish")  # noqa: E731
        return SimpleNamespace(log=lambda row, step: logged.append((step, row)), finish=finish)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    run(tmp_path, "run.loggers=[wandb]", "train.max_steps=3")
    run(tmp_path, "run.loggers=[wandb]", "train.max_steps=5")
    first, end, second, _ = calls
    assert end == "finish"
    assert first["project"] == "latentreason"
    assert (first["name"], first["resume"]) == ("run", "allow")
    assert first["config"]["optim"]["lr"] == 0.01
    assert first["id"] == second["id"]
    assert [step for step, row in logged if "loss" in row] == [1, 2, 3, 4, 5]
    assert all("step" not in row for _, row in logged)


def test_a_missing_wandb_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"run.loggers: wandb is not installed"):
        run(tmp_path, "run.loggers=[wandb]", "train.max_steps=1")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.ema=1.0", "train.ema"),
        ("train.ema=0", "train.ema"),
        ("train.compile=tvm", "train.compile"),
        ("train.length_window=0", "train.length_window"),
        ("run.loggers=[comet]", "run.loggers"),
    ],
)
def test_values_that_mean_nothing_are_refused(tmp_path, word, message):
    with pytest.raises(ValueError, match=message):
        recipe(tmp_path, word)
    with pytest.raises(ValueError, match=r"train.compile: untried"):
        recipe(tmp_path, "train.compile=eager", "train.strategy=deepspeed")
