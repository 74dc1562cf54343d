"""An extraction chain: places in order, one kind of answer read from the first that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentreason.errors import check_choice
from latentreason_eval.extraction.kinds import KINDS
from latentreason_eval.extraction.places import PLACES


@dataclass(frozen=True)
class Chain:
    """Reads an answer of `kind` from the first of `places` that holds one.

    Attributes:
        kind: a name of `KINDS`.
        places: names of `PLACES`, in order.
    """

    kind: str
    places: tuple[str, ...]

    def __post_init__(self) -> None:
        check_choice("answer", self.kind, KINDS)
        for place in self.places:
            check_choice("extract", place, PLACES)

    def __call__(self, output: str, meta: Mapping[str, Any]) -> str | None:
        """Return the answer in a model's `output`, or None where it gives none."""
        for place in self.places:
            found = PLACES[place](output)
            if found is not None and (answer := KINDS[self.kind](found, meta)) is not None:
                return answer
        return None


DEFAULT_PLACES: Mapping[str, Sequence[str]] = {
    "text": ("boxed", "hashes", "closing", "last_line"),
}


def default_chain(kind: str) -> Chain:
    """Return the chain of a kind for which nobody named places."""
    return Chain(
        kind, tuple(DEFAULT_PLACES.get(kind, ("boxed", "hashes", "closing", "everything")))
    )
