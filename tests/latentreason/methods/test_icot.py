"""iCoT: the chain's tokens go from the left, with a geometric offset (2405.14838)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny import build, example

ITEM = example(4, 3)


def chain_of(model):
    return [token for step in ITEM.steps for token in model.prompt.step_ids(step)]


def layout(model, stage, seed=0):
    return model.layout(ITEM, stage, np.random.default_rng(seed))


def test_a_stage_removes_as_many_tokens_from_the_left():
    model = build("gpt2", "icot", removal_smoothing=math.inf)
    question, answer = (
        model.prompt.question_ids(ITEM.question),
        model.prompt.answer_ids(ITEM.answer),
    )
    chain = chain_of(model)
    for stage in range(len(chain) + 3):
        row = layout(model, stage)
        assert row.ids == question + chain[stage:] + answer
        assert row.labels == [-100] * len(question) + chain[stage:] + answer


def test_the_ends_are_cot_and_no_cot():
    model = build("gpt2", "icot", removal_smoothing=math.inf, remove_all_at=3)
    assert layout(model, 0) == layout(build("gpt2", "cot"), 0)
    for stage in (3, 4, 100):
        assert layout(model, stage) == layout(build("gpt2", "no_cot"), 0)
    assert layout(model, 2) != layout(model, 3)


def test_the_offset_is_geometric():
    model = build("gpt2", "icot", removal_smoothing=1.0)
    full, count = len(layout(build("gpt2", "cot"), 0).ids), 4000
    offsets = [full - len(layout(model, 0, seed).ids) for seed in range(count)]
    share = np.bincount(offsets, minlength=4)[:4] / count
    expected = (1 - math.exp(-1)) * np.exp(-np.arange(4.0))
    # Four standard deviations of a share.
    assert (np.abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": "all", "remove_all_at": 3}, "remove_all_at"),
        ({"removal_smoothing": 0.0}, "removal_smoothing"),
        ({"remove_all_at": 0}, "remove_all_at"),
        ({"steps": "some"}, "method.steps"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build("gpt2", "icot", **settings)
