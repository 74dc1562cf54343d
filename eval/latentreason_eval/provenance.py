"""Where a number comes from: versions, commit, command, machine."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

from latentreason.card import command_line, git_commit

PACKAGES = ("latentreason", "torch", "transformers")


def provenance() -> dict[str, Any]:
    """Return versions, git commit (None outside a checkout), command (None from Python) and machine."""
    return {
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": git_commit(),
        "command": command_line(),
        "machine": f"{platform.system()} {platform.machine()}, {_device()}",
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _device() -> str:
    import os

    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
        return f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads"
    return f"CPU, {os.cpu_count()} cores"
