"""Every shipped recipe is valid and trains two steps to the losses on record."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml
from shrink import GOLDEN, two_losses

from latentreason.recipes import load_recipe, shipped_recipes

SHIPPED = shipped_recipes()
SECTIONS = ["method", "model", "data", "optim", "train", "eval", "run"]


@pytest.mark.parametrize("name", SHIPPED)
def test_it_trains_two_steps_to_the_losses_on_record(name, tmp_path):
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert name in golden, "no losses on record: see tests/support/shrink.py"
    assert two_losses(name, tmp_path) == pytest.approx(golden[name], rel=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_valid_and_its_sections_are_in_order(name):
    recipe = load_recipe(name)
    assert recipe.run.name != "run", "a run folder of its own"
    tree = yaml.safe_load(SHIPPED[name].read_text(encoding="utf-8"))
    assert list(tree) == [section for section in SECTIONS if section in tree]


@pytest.mark.parametrize("name", SHIPPED)
def test_its_head_says_what_it_reproduces_and_how_to_run_it(name):
    text = SHIPPED[name].read_text(encoding="utf-8")
    head = re.match(r"(#[^\n]*\n)+", text)
    assert head is not None
    for word in ("# Reproduces:", "# Measured:", "# Launch:", "# Override:", "# Known limits:"):
        assert word in head[0], word
    assert "MEASURED" not in head[0], "a figure is missing"
    assert re.search(rf"{re.escape(name)}\b", head[0]), "the launch line names the recipe"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_override_in_its_head_is_valid(name):
    line = next(
        line
        for line in SHIPPED[name].read_text(encoding="utf-8").splitlines()
        if line.startswith("# Override:")
    )
    words = [word for word in shlex.split(line.removeprefix("#")) if "=" in word]
    assert words
    load_recipe(name, words)


def test_run_folders_are_different():
    names = [load_recipe(name).run.name for name in SHIPPED]
    assert sorted(set(names)) == sorted(names)
