"""The loss contract: a step's gradient is that of the mean over its supervised tokens."""

from __future__ import annotations

import pytest
import torch
from runs import metrics, recipe, run
from tiny import assert_close, exact, gradients, loss_of

from latentreason.data import load_split
from latentreason.training.order import layout_rng, permutation
from latentreason.training.strategy import Strategy
from latentreason.training.train import build_model
from latentreason.training.trainer import Trainer

MIXED = ("method.stage_mixing=0.7", "optim.lr=0.0", "optim.weight_decay=0.0", "optim.clip=null",
         "train.phases=[{stage: 2, epochs: 1}]")  # fmt: skip


def step_gradients(root, micro, *words):
    """The gradient of every step of one epoch, as the optimizer sees it, and the model."""
    made = recipe(root / f"micro{micro}", f"train.micro_batch_size={micro}", *MIXED, *words)
    strategy = Strategy(made.train, made.optim)
    examples = load_split(made.data.train)
    torch.manual_seed(0)
    model = exact(build_model(made, examples))
    found = []
    step = strategy.step

    def record():
        if strategy.accelerator.sync_gradients:
            found.append({n: p.grad.clone() for n, p in model.named_parameters()})
        return step()

    strategy.step = record
    folder = root / f"micro{micro}" / "run"
    folder.mkdir(parents=True)
    trainer = Trainer(made, model, examples, [], folder, strategy)
    trainer.run()
    strategy.close()
    return found, model, examples


@pytest.mark.parametrize("micro", [8, 4, 2, 1])
def test_the_gradient_does_not_depend_on_how_the_batch_is_cut(tmp_path, micro):
    found, model, examples = step_gradients(tmp_path, micro)
    assert len(found) == 5, "37 examples are four steps of 8 and a short one of 5"
    order = permutation(0, 0, 2, 37)
    for number, ours in enumerate(found):
        chosen = order[8 * number : 8 * number + 8].tolist()
        rows = [model.layout(examples[i], 2, layout_rng(0, 0, i)) for i in chosen]
        batch = model.collate(rows, chosen)
        supervised = sum(label != -100 for row in rows for label in row.labels)
        (loss_of(model, batch) / supervised).backward()
        assert_close(ours, gradients(model), 1e-9)


def test_the_logged_loss_and_norm_are_those_of_the_whole_step(tmp_path):
    curves = [
        metrics(run(tmp_path / str(micro), f"train.micro_batch_size={micro}", *MIXED[:1]))
        for micro in (8, 2)
    ]
    for mine, other in zip(*curves, strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert mine["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-3)


def test_a_batch_that_does_not_divide_is_an_error(tmp_path):
    made = recipe(tmp_path, "train.micro_batch_size=3")
    with pytest.raises(ValueError, match="micro_batch_size"):
        Strategy(made.train, made.optim)
