"""A map trained with one layout answers questions of another."""

from __future__ import annotations

import pytest
from soft import soft

from latentreason.errors import UserError
from latentreason.methods.softcot.prompt import SoftPromptConfig, template_hash

QUESTION = "w1 w2 w3"


def test_another_layout_is_that_layout():
    model, other = (soft(prompt={"layout": name}) for name in ("plain", "date"))
    before = model.prompt.question(QUESTION, 3).ids
    assert before != other.prompt.question(QUESTION, 3).ids
    model.use_layout("date")
    for render in ("question", "assistant"):
        ours, theirs = (getattr(m.prompt, render)(QUESTION, 3) for m in (model, other))
        assert ours == theirs
    assert model.config.prompt == other.config.prompt
    assert model.config.template_hash == template_hash(
        SoftPromptConfig(layout="date", chat_template=False)
    )
    model.use_layout("plain")
    assert model.prompt.question(QUESTION, 3).ids == before


def test_an_unknown_layout_is_named():
    model = soft()
    with pytest.raises(UserError, match="math"):
        model.use_layout("mathe")
