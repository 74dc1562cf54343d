"""Reports, compare and rescore on runs made in the test."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from latentreason.errors import UserError
from latentreason_eval.api import compare, evaluate, report, rescore
from latentreason_eval.record import read_records


def score(model: Any, data: Path, out: Path, **arguments: Any) -> Path:
    options: dict[str, Any] = {"data": str(data), "show_progress": False}
    evaluate("fake", "state_tracking", out=out, model=model, **options | arguments)
    return out


@pytest.fixture
def runs(fake_model, sums_file, tmp_path) -> list[Path]:
    """Two runs with controls and sweeps: 2 and 9 of 30 questions wrong, 1 in common."""
    more = {"controls": True, "sweep": "thoughts=0..2"}
    return [
        score(fake_model(wrong={0, 1}), sums_file, tmp_path / "good", **more),
        score(fake_model(wrong=set(range(1, 10))), sums_file, tmp_path / "bad", **more),
    ]


def test_the_paired_table(runs):
    found = compare(*runs)
    assert (found["n"], found["only_first"], found["only_second"]) == (30, 8, 1)
    assert found["difference"] == pytest.approx(-7 / 30)
    assert found["p_value"] == pytest.approx(0.0390625)
    assert "| majority vote | 93.3 | 96.7 | +3.3 [" in found["table"]
    # A share of right samples has no McNemar test, a vote has one.
    assert found["table"].count("McNemar") == 1
