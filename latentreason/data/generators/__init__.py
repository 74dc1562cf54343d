"""Seeded generators: the registry by name."""

from __future__ import annotations

from latentreason.data.generators.arithmetic import ARITHMETIC
from latentreason.data.generators.base import Generator, GeneratorOptions
from latentreason.data.generators.countdown import COUNTDOWN
from latentreason.data.generators.multiplication import MULTIPLICATION
from latentreason.data.generators.prontoqa import PRONTOQA
from latentreason.data.generators.prosqa import PROSQA
from latentreason.data.generators.state_tracking import STATE_TRACKING

GENERATORS: dict[str, Generator] = {
    generator.name: generator
    for generator in (PROSQA, PRONTOQA, STATE_TRACKING, ARITHMETIC, MULTIPLICATION, COUNTDOWN)
}

__all__ = ["GENERATORS", "Generator", "GeneratorOptions"]
