"""Answer rules: how an output becomes an answer and how that is compared, under one name.

A benchmark brings its own rule; `eval.match` of a recipe and `--extractor` name one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from latentreason.errors import check_choice
from latentreason_eval.extraction.chain import default_chain
from latentreason_eval.extraction.kinds import KINDS
from latentreason_eval.verification.base import Verifier
from latentreason_eval.verification.registry import build_verifier

Extractor = Callable[[str, Mapping[str, Any]], str | None]


@dataclass(frozen=True)
class Verdict:
    """What became of one output."""

    answer: str | None
    correct: bool
    key: str | None


@dataclass(frozen=True)
class AnswerRule:
    """An extractor and the verifier that goes with it."""

    name: str
    extract: Extractor
    verifier: Verifier

    def judge(self, output: str, gold: str, meta: Mapping[str, Any]) -> Verdict:
        """Return the answer in `output` and whether it is right; no answer is not right."""
        answer = self.extract(output, meta)
        if answer is None:
            return Verdict(None, False, None)
        return Verdict(answer, self.verifier.correct(answer, gold, meta), self.verifier.key(answer))


VERIFIER_OF = {
    "number": "number",
    "digits": "digits",
    "formula": "formula",
    "arithmetic": "reach",
    "grid": "sudoku",
}


def rule_of_kind(kind: str) -> AnswerRule:
    """Return the rule that reads one kind of answer in the usual places."""
    return AnswerRule(kind, default_chain(kind), build_verifier(VERIFIER_OF.get(kind, "text")))


def rule_names() -> list[str]:
    """Return the names that `named_rule` knows."""
    return list(KINDS)


def named_rule(name: str, argument: str = "extractor") -> AnswerRule:
    """Return the rule called `name`.

    Raises:
        UserError: no rule has this name; the message names the nearest.
    """
    check_choice(argument, name, rule_names())
    return rule_of_kind(name)
