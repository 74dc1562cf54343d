"""Shared by all tests: helper modules, quiet libraries, tiny models."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Test modules are imported by path (importlib mode), so their helpers need a place on sys.path. A
# folder of its own: `tests/kernels` must not become importable as `kernels`.
sys.path.insert(0, str(Path(__file__).parent / "support"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Sums in a fixed order: bit-equal results do not hang on how many cores are free."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
