"""State tracking: apply a chain of random maps on a few states, one after the other.

The shortest task on which thinking helps: each map is one look-up, and no shallow network does many
look-ups that depend on each other in one pass.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from functools import cache, partial
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
        alphabet: None writes every map's table into the question. A number draws so many maps once
            and for all (by `alphabet_seed`, in every split alike); the question only names them, as
            in the word problem of a permutation group, and the model learns the tables.
        alphabet_seed: which maps the alphabet holds.
    """

    num_states: int = 5
    num_maps: int = 4
    bijective: bool = False
    entries: Literal["pair", "joint"] = "joint"
    start: Literal["first", "last"] = "first"
    alphabet: int | None = None
    alphabet_seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("num_states", 2, 100), ("num_maps", 1, 26)):
            if not low <= getattr(self, name) <= high:
                raise UserError(
                    f'options of generator "state_tracking": {name}: {getattr(self, name)} is '
                    f"outside {low} to {high}"
                )
        if self.alphabet is not None and self.alphabet < 2:
            raise UserError(
                f'options of generator "state_tracking": alphabet: {self.alphabet} is too small; give '
                "2 or more maps"
            )
        if self.alphabet is not None and self.entries != "joint":
            raise UserError(
                f'options of generator "state_tracking": entries: "{self.entries}" would be ignored, '
                "since no table of an alphabet is written"
            )
        if self.alphabet is None and self.alphabet_seed != 0:
            raise UserError(
                f'options of generator "state_tracking": alphabet_seed: {self.alphabet_seed} would be '
                "ignored, since alphabet is null"
            )


def draw(rng: random.Random, options: StateTrackingOptions) -> Draft:
    """Draw a start state and the maps; the part is decided by the maps alone."""
    if options.alphabet is not None:
        named = [rng.randrange(options.alphabet) for _ in range(options.num_maps)]
        tables = _alphabet(options.num_states, options.bijective, options.alphabet,
                           options.alphabet_seed)  # fmt: skip
        maps = [tables[name] for name in named]
        words = [f"m{name}" for name in named]
        content = repr(named)
    else:
        maps = _draw_maps(rng, options.num_maps, options.num_states, options.bijective)
        words = _table_words(maps, options.entries)
        content = repr(maps)
    start = rng.randrange(options.num_states)
    write = partial(_write, options.start, start, maps, words)
    return Draft(part_of(content), f"{start} {content}", write)


def _draw_maps(rng: random.Random, count: int, num_states: int, bijective: bool) -> list[list[int]]:
    states = range(num_states)
    if bijective:
        return [rng.sample(states, num_states) for _ in range(count)]
    return [rng.choices(states, k=num_states) for _ in range(count)]


@cache
def _alphabet(num_states: int, bijective: bool, size: int, seed: int) -> list[list[int]]:
    return _draw_maps(random.Random(seed), size, num_states, bijective)


def _table_words(maps: list[list[int]], entries: str) -> list[str]:
    join = "to" if entries == "joint" else " "
    return [
        f"{letter}{source}{join}{target}"
        for letter, table in zip(string.ascii_lowercase, maps, strict=False)
        for source, target in enumerate(table)
    ]


def _write(
    side: str, start: int, maps: list[list[int]], words: list[str], example_id: str
) -> Example:
    words = [str(start), *words] if side == "first" else [*words, str(start)]
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
