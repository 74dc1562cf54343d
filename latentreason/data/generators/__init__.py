"""Seeded generators: the registry by name."""

from __future__ import annotations

from latentreason.data.generators.base import Generator, GeneratorOptions
from latentreason.data.generators.prosqa import PROSQA
from latentreason.data.generators.state_tracking import STATE_TRACKING

GENERATORS: dict[str, Generator] = {
    generator.name: generator for generator in (PROSQA, STATE_TRACKING)
}

__all__ = ["GENERATORS", "Generator", "GeneratorOptions"]
