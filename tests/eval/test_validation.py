"""validator: the same extraction and verification as evaluation, for the trainer."""

from __future__ import annotations

import pytest

from latentreason.config import EvalConfig
from latentreason.errors import UserError
from latentreason_eval.validation import validator


def test_it_returns_accuracy_and_visible_tokens(fake_model, sums):
    model = fake_model(wrong={0, 2})
    figures = validator(
        EvalConfig(limit=10, batch_size=4, max_new_tokens=64, match="number"), sums
    )(model)
    assert figures == {"accuracy": 0.8, "tokens": 2.0, "thoughts": 3.0}
    assert sum(len(call) for call in model.calls) == 10
    assert max(len(call) for call in model.calls) == 4
    assert all(arguments["max_new_tokens"] == 64 for arguments in model.arguments)


def test_an_unknown_rule_is_named_before_training(sums):
    with pytest.raises(UserError, match=r'eval.match: "txt" is not known \(did you mean "text"'):
        validator(EvalConfig(match="txt"), sums)


def test_nothing_to_score_is_an_error():
    with pytest.raises(UserError, match="no examples"):
        validator(EvalConfig(), [])
