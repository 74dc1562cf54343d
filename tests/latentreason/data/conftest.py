"""Shared by the data tests: the official files, where there are any, and helper modules."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Test modules are imported by path (importlib mode), so their helpers need a place on sys.path.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def official() -> Callable[[str], Path]:
    """Return the path of an official file; the test is skipped where it is not at hand."""

    def path(name: str) -> Path:
        folder = os.environ.get("LATENTREASON_DATA")
        if not folder:
            pytest.skip("LATENTREASON_DATA is not set: no official files")
        found = Path(folder) / name
        if not found.exists():
            pytest.skip(f"{found} is not there")
        return found

    return path
