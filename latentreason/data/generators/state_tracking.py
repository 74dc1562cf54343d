"""State tracking: apply a chain of random maps on a few states, one after the other.

The shortest task on which thinking helps: each map is one look-up, and no shallow network does many
look-ups that depend on each other in one pass.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from functools import partial
from typing import Literal

from latentreason.data.example import Example
from latentreason.data.generators.base import Draft, Generator, GeneratorOptions, part_of
from latentreason.errors import UserError


@dataclass
class StateTrackingOptions(GeneratorOptions):
    """Options of "state_tracking".

    Attributes:
        num_states: states 0..num_states-1; 2 to 100.
        num_maps: maps to apply, a, b, c, ...; 1 to 26. An example has num_maps - 1 steps.
        bijective: maps are permutations, so that no two states ever fall together.
        entries: how a table entry is written: "joint" is one word `a0to3` (map a sends 0 to 3),
            "pair" is two, `a0 3`.
        start: whether the start state is the "first" or the "last" word of the question.
    """

    num_states: int = 5
    num_maps: int = 4
    bijective: bool = False
    entries: Literal["pair", "joint"] = "joint"
    start: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        for name, low, high in (("num_states", 2, 100), ("num_maps", 1, 26)):
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f'options of generator "state_tracking": {name}: {getattr(self, name)} is '
                    f"outside {low} to {high}"
                )


def draw(rng: random.Random, options: StateTrackingOptions) -> Draft:
    """Draw a start state and the maps; the part is decided by the maps alone."""
    states = range(options.num_states)
    if options.bijective:
        maps = [rng.sample(states, options.num_states) for _ in range(options.num_maps)]
    else:
        maps = [rng.choices(states, k=options.num_states) for _ in range(options.num_maps)]
    start = rng.randrange(options.num_states)
    content = repr(maps)
    return Draft(part_of(content), f"{start} {content}", partial(_write, options, start, maps))


def _write(
    options: StateTrackingOptions, start: int, maps: list[list[int]], example_id: str
) -> Example:
    join = "to" if options.entries == "joint" else " "
    words = [
        f"{letter}{source}{join}{target}"
        for letter, table in zip(string.ascii_lowercase, maps, strict=False)
        for source, target in enumerate(table)
    ]
    words.insert(0 if options.start == "first" else len(words), str(start))
    state, states = start, []
    for table in maps:
        state = table[state]
        states.append(str(state))
    meta = {"id": example_id, "start": start, "maps": maps}
    return Example(" ".join(words), tuple(states[:-1]), states[-1], meta)


STATE_TRACKING = Generator(
    name="state_tracking",
    summary="random maps on a few states, one after the other; a step is the state after a map",
    options=StateTrackingOptions,
    draw=draw,
)
