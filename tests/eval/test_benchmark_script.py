"""benchmarks/evaluate.py runs and writes the figures that the acceptance check reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "evaluate.py"


def test_quick_figures(tmp_path, environment):
    out = tmp_path / "figures.json"
    subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--json", str(out)],
        check=True,
        timeout=110,
        env=environment,
        capture_output=True,
    )
    figures = json.loads(out.read_text())
    assert figures["batched_speedup"] > 1
    assert 0 < figures["overhead_share"] < 1
    assert figures["quick"] is True
    assert {"torch", "cores", "questions", "batch_size"} <= set(figures)
