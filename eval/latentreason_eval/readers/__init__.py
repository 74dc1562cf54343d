"""Readers of files that only benchmarks have; the others are in `latentreason.data`."""

from __future__ import annotations

from latentreason.data.readers.base import Reader

READERS: dict[str, Reader] = {}
