"""The most frequent gold answer, whatever is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from latentreason.data.example import Example


def majority(examples: Sequence[Example]) -> list[float]:
    """Score each example by whether its gold answer is the most frequent one."""
    best = Counter(example.answer for example in examples).most_common(1)[0][0]
    return [float(example.answer == best) for example in examples]
