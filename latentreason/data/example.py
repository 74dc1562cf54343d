"""What every data source yields. Nothing downstream knows where a question came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """One question with its reasoning steps and its answer, as plain text.

    Attributes:
        question: the text a method renders into its prompt.
        steps: the reasoning steps in order; empty where the source has none.
        answer: the gold answer.
        meta: what the source knows besides (`id`, graph edges, options ...). `meta["id"]` is a
            string that is unique within a split.
    """

    question: str
    steps: tuple[str, ...]
    answer: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Document:
    """One text for language modelling."""

    text: str
    meta: dict[str, Any] = field(default_factory=dict)
