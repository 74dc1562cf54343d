"""ProntoQA without reasoning: of two rules with the queried property, the more frequent concept.

The official generator's complement concept occurs nowhere else, so counting words solves all of its
questions (data README, section 3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from latentreason.data.example import Example

_RULE = re.compile(r"(?:Each |Every )?(\w+) (?:is|are) (not )?(\w+)", re.IGNORECASE)


def concept_counts(examples: Sequence[Example]) -> list[float]:
    """Score the answer that the rule about the more frequent concept gives; 0.5 on a tie."""
    return [_score(example) for example in examples]


def _score(example: Example) -> float:
    context, _, query = example.question.rpartition("True or false: ")
    asked = re.fullmatch(r"\w+ is (not )?(\w+)\.?", query.strip())
    if asked is None:
        return 0.5
    found = []
    for sentence in re.split(r"\.\s*", context):
        rule = _RULE.fullmatch(sentence.strip())
        if rule and rule[3].casefold() == asked[2].casefold():
            found.append((_occurrences(_singular(rule[1]), context), bool(rule[2])))
    if not found:
        return 0.5
    most = max(count for count, _ in found)
    verdicts = {negated for count, negated in found if count == most}
    if len(verdicts) > 1:
        return 0.5
    answer = "True" if verdicts.pop() == bool(asked[1]) else "False"
    return float(answer == example.answer)


def _singular(word: str) -> str:
    return re.sub(r"es$", "", word.casefold())


def _occurrences(concept: str, context: str) -> int:
    return len(re.findall(rf"\b{concept}(?:es)?\b", context, re.IGNORECASE))
