"""What the benchmark scripts share: the machine, a table, one flat JSON object."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def describe_machine() -> dict[str, Any]:
    """Versions and machine, to stand beside every figure."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "python": platform.python_version(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "gpu": gpu,
    }


def in_turns(repeats: int, *functions: Callable[[], Any]) -> list[float]:
    """Median CPU seconds of each function, called in turns after one warm-up.

    CPU time, since on a shared machine the wall clock measures the neighbours: one and the same step
    took 8 and 19 seconds. Give one thread, or threads that wait for each other count as work.
    """
    times: list[list[float]] = [[] for _ in functions]
    for repeat in range(repeats + 1):
        for place, function in enumerate(functions):
            start = time.process_time()
            function()
            if repeat:
                times[place].append(time.process_time() - start)
    return [statistics.median(t) for t in times]


def print_figures(figures: dict[str, Any]) -> None:
    """One figure a line."""
    width = max(len(name) for name in figures)
    for name, value in figures.items():
        print(
            f"{name:<{width}}  {value:.4g}"
            if isinstance(value, float)
            else f"{name:<{width}}  {value}"
        )


def write_json(path: str, record: dict[str, Any]) -> None:
    """Write one flat object."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
