"""The verifier protocol and the two verifiers that most benchmarks need."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from latentreason_eval.extraction.numbers import canonical, find_numbers, to_fraction


class Verifier(Protocol):
    """Compares an extracted answer with the gold one."""

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """Return whether `answer` solves the example with this gold answer and meta."""

    def key(self, answer: str) -> str:
        """Return one spelling for answers that are the same; votes and distinct counts use it."""


def same_words(text: str) -> str:
    """Return `text` without case, outer punctuation and blanks that a tokenizer may have put in."""
    text = " ".join(text.split()).casefold()
    text = re.sub(r"\s+([.,;:!?')\]])", r"\1", text)
    return text.strip(" .\"'")


@dataclass(frozen=True)
class TextVerifier:
    """Equal words: case, blanks and a final full stop do not count."""

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`."""
        return same_words(answer) == same_words(gold)

    def key(self, answer: str) -> str:
        """See `Verifier`."""
        return same_words(answer)


@dataclass(frozen=True)
class ExactVerifier:
    """Equal strings, as Coconut compares (commas removed by its extraction)."""

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`."""
        return answer == gold.replace(",", "").strip()

    def key(self, answer: str) -> str:
        """See `Verifier`."""
        return answer


@dataclass(frozen=True)
class NumberVerifier:
    """Equal values: "18", "18.0" and "36/2" are one number; a gold answer may bear a unit.

    Attributes:
        tolerance: largest absolute difference that counts as equal; for benchmarks whose golds are
            rounded decimals.
    """

    tolerance: float = 0.0

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`."""
        try:
            difference = abs(to_fraction(answer) - _only_number(gold))
        except ValueError:
            return False
        return difference <= Fraction(self.tolerance)

    def key(self, answer: str) -> str:
        """See `Verifier`."""
        return canonical(answer)


def _only_number(gold: str) -> Fraction:
    """The value of "18", "$18", "18 dollars" or "1 1/2"; ValueError unless it is one number."""
    try:
        return to_fraction(gold)
    except ValueError:
        numbers = find_numbers(gold)
        if len(numbers) != 1:
            raise
        return to_fraction(numbers[0])


@dataclass(frozen=True)
class DigitsVerifier:
    """Equal digits in the same order: "5 6 0" is "560", and "065" is not "65"."""

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`."""
        return self.key(answer) == self.key(gold)

    def key(self, answer: str) -> str:
        """See `Verifier`."""
        return re.sub(r"[\s,]", "", answer)
