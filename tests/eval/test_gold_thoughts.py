"""A checkpoint that asks for it is scored with as many thoughts as the gold chain has steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from latentreason.config import EvalConfig
from latentreason.data.example import Example
from latentreason.generation import Generation
from latentreason_eval.backends.model import ModelBackend
from latentreason_eval.runner import questions
from latentreason_eval.sample import Sampling
from latentreason_eval.validation import validator

EXAMPLES = [Example(f"q{n}", ("s",) * (n % 3 + 1), "a", {"id": str(n)}) for n in range(5)]


class Model:
    """Remembers how many thoughts each question was given."""

    thought_modes = ("normal", "none")
    config = SimpleNamespace(method_name="made_up", num_thoughts=4)

    def __init__(self, gold):
        self.gold = gold
        self.asked = {}

    def gold_num_thoughts(self, num_steps):
        return num_steps if self.gold else None

    def num_parameters(self):
        return 1

    def generate(self, prompts, *, num_thoughts, **options):
        counts = num_thoughts if isinstance(num_thoughts, list) else [num_thoughts] * len(prompts)
        self.asked |= dict(zip(prompts, counts, strict=True))
        return [Generation("a", [0], count or 4, 0, 1, 1, place, 0, "stop")
                for place, count in enumerate(counts)]  # fmt: skip


def asked_by(model, sampling):
    list(ModelBackend(model, 2).answer(questions(EXAMPLES, 0), sampling))
    return [model.asked[example.question] for example in EXAMPLES]


def test_each_question_has_the_thoughts_of_its_gold_chain():
    assert asked_by(Model(True), Sampling()) == [1, 2, 3, 1, 2]
    assert asked_by(Model(False), Sampling()) == [None] * 5


@pytest.mark.parametrize("gold", [True, False])
def test_a_number_that_is_asked_for_goes_before(gold):
    assert asked_by(Model(gold), Sampling(num_thoughts=2)) == [2] * 5


def test_validation_during_training_does_the_same():
    model = Model(True)
    figures = validator(EvalConfig(), EXAMPLES)(model)
    assert figures["thoughts"] == pytest.approx(9 / 5)
