"""What all generators share: seeds, splits that cannot overlap, no repeated question."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from latentreason.data.example import Example
from latentreason.errors import UserError

MAX_MISSES = 50_000


@dataclass
class GeneratorOptions:
    """Options of every generator.

    Attributes:
        part: which share of all questions to draw from. A question's part is a hash of its content
            (of its graph, say, whatever names it bears), so two parts share nothing, whatever the
            seeds: 80 % of the questions are "train", 10 % "valid", 10 % "test".
    """

    part: Literal["train", "valid", "test"] = "train"


@dataclass(frozen=True)
class Draft:
    """A question that is drawn but not yet written, since most drafts for a small part are dropped.

    Attributes:
        part: the part it belongs to.
        identity: what must not occur twice in a split.
        write: makes the example, given the id it is to have.
    """

    part: str
    identity: str
    write: Callable[[str], Example]


@dataclass(frozen=True)
class Generator:
    """A named, seeded source of examples.

    Attributes:
        name: its name in recipes.
        summary: one line for `latentreason ls`.
        options: the dataclass of its options.
        draw: draws a draft, or None where the draw is to be thrown away.
    """

    name: str
    summary: str
    options: type[GeneratorOptions]
    draw: Callable[[random.Random, Any], Draft | None]

    def generate(self, size: int, seed: int, options: GeneratorOptions) -> list[Example]:
        """Return `size` different examples; the first n are the same for every size >= n.

        Raises:
            UserError: the options leave fewer different questions than asked for.
        """
        # random.Random seeded by text gives the same numbers on every machine.
        rng = random.Random(f"{self.name}:{seed}")
        examples: list[Example] = []
        seen: set[str] = set()
        misses = 0
        while len(examples) < size:
            draft = self.draw(rng, options)
            if draft is None or draft.part != options.part or draft.identity in seen:
                misses += 1
                if misses > MAX_MISSES:
                    raise UserError(self._exhausted(size, len(examples), options))
                continue
            misses = 0
            seen.add(draft.identity)
            examples.append(draft.write(f"{self.name}-{options.part}-{seed}-{len(examples)}"))
        return examples

    def _exhausted(self, size: int, found: int, options: GeneratorOptions) -> str:
        return (
            f'generator "{self.name}": size {size} is more than its options allow: {found} '
            f"different questions found, then none in {MAX_MISSES} draws ({options}); "
            "lower size or widen the options"
        )


def part_of(content: str) -> str:
    """Return the part that a question of this content belongs to."""
    share = int.from_bytes(hashlib.blake2b(content.encode(), digest_size=4).digest(), "big") / 2**32
    return "train" if share < 0.8 else "valid" if share < 0.9 else "test"
