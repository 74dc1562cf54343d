"""One tiny trained run for all command line tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny Coconut model."""
    return run(tmp_path_factory.mktemp("cli"), "method.max_new_tokens=4")
