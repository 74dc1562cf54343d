"""Answer rules: how an output becomes an answer and how that is compared, under one name.

A benchmark brings its own rule; `eval.match` of a recipe and `--extractor` name one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from latentreason.errors import UserError, check_choice
from latentreason_eval.extraction.chain import default_chain
from latentreason_eval.extraction.kinds import KINDS
from latentreason_eval.extraction.legacy import LEGACY
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
    """An extractor and the verifier that goes with it.

    Attributes:
        name: the benchmark's name, or the name of the rule that was asked for.
        none_votes: "no answer" takes part in majority votes (SoftCoT's code).
    """

    name: str
    extract: Extractor
    verifier: Verifier
    none_votes: bool = False

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


def none_votes(name: str) -> bool:
    """Return whether "no answer" takes part in majority votes under the rule of this name."""
    return any(rule.none_votes for rule in LEGACY.get(name, {}).values())


def rule_names() -> list[str]:
    """Return the names that `named_rule` knows: kinds of answers, and papers' legacy rules."""
    return [*KINDS, *LEGACY]


def named_rule(name: str, argument: str = "extractor", kind: str | None = None) -> AnswerRule:
    """Return the rule called `name`.

    Args:
        name: a kind of answer ("number") or a legacy rule ("softcot_v1").
        argument: who named it, for the message.
        kind: the benchmark's kind of answer, which chooses between a paper's rules; None takes the
            first that the paper has.

    Raises:
        UserError: no rule has this name (the nearest is given), or the paper has none for `kind`.
    """
    check_choice(argument, name, rule_names())
    if name in KINDS:
        return rule_of_kind(name)
    variants = LEGACY[name]
    if kind is not None and kind not in variants:
        raise UserError(
            f'{argument}: "{name}" has no rule for answers of kind "{kind}"; it has: '
            f"{', '.join(variants)}"
        )
    legacy = variants[kind] if kind is not None else next(iter(variants.values()))
    return AnswerRule(name, legacy, legacy, legacy.none_votes)
