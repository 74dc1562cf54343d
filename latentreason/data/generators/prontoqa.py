"""ProntoQA, 5 hops, fictional, random order: is a property true of an entity?

After the authors' generator (2210.01240) with the settings of 2412.06769; in the plain form the one
concept that is mentioned once gives the answer away, `debiased` mends that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial

from latentreason.data.example import Example
from latentreason.data.generators.base import Draft, Generator, GeneratorOptions, part_of
from latentreason.data.generators.prontoqa_rules import Rules, draw_rules


@dataclass
class ProntoQAOptions(GeneratorOptions):
    """Options of "prontoqa". The part of an example is decided by its rules, whatever their order.

    Attributes:
        debiased: the concept with the opposite property has rules of its own, so that counting
            mentions does not tell it from the right one; 28 rules instead of 23.
    """

    debiased: bool = False


def draw(rng: random.Random, options: ProntoQAOptions) -> Draft:
    """Draw the rules; order and wording are drawn when the example is written."""
    rules = draw_rules(rng, options.debiased)
    content = f"{sorted(rules.kinds)} {sorted(rules.properties)}"
    return Draft(part_of(content), content, partial(_write, rng, rules))


def _write(rng: random.Random, rules: Rules, example_id: str) -> Example:
    kinds = {pair: _sentence(rng, pair[0], None, pair[1]) for pair in rules.kinds}
    properties = {
        concept: _sentence(rng, concept, negated, word)
        for concept, word, negated in rules.properties
    }
    context = [*kinds.values(), *properties.values()]
    facts = [_fact(rules.entity, rules.chain[0]), _fact(rules.entity, rules.aside)]
    rng.shuffle(context)
    rng.shuffle(facts)
    word, negated = rules.property_of(rules.chain[-1])
    asked = f"True or false: {_claim(rules.entity, word, rules.asked_negated)}"
    links = [kinds[pair] for pair in zip(rules.chain, rules.chain[1:], strict=False)]
    links.append(properties[rules.chain[-1]])
    steps = [
        f"{_fact(rules.entity, concept)} {link}"
        for concept, link in zip(rules.chain, links, strict=True)
    ]
    return Example(
        question=" ".join([*context, *facts, asked]),
        steps=(*steps, _claim(rules.entity, word, negated)),
        answer=str(rules.asked_negated == negated),
        meta={"id": example_id},
    )


def _sentence(rng: random.Random, concept: str, negated: bool | None, word: str) -> str:
    """Write a rule in one of its three forms; `negated` is None where `word` is a concept."""
    form = rng.random()
    plural = form < 0.5
    subject = _plural(concept).capitalize() if plural else f"{_each(form)} {concept}"
    if negated is None:
        predicate = _plural(word) if plural else f"{_article(word)} {word}"
    else:
        predicate = f"not {word}" if negated else word
    return f"{subject} {'are' if plural else 'is'} {predicate}."


def _each(form: float) -> str:
    return "Each" if form < 0.75 else "Every"


def _fact(entity: str, concept: str) -> str:
    return f"{entity} is {_article(concept)} {concept}."


def _claim(entity: str, word: str, negated: bool) -> str:
    return f"{entity} is {'not ' if negated else ''}{word}."


def _plural(concept: str) -> str:
    return f"{concept}es"


def _article(concept: str) -> str:
    return "an" if concept[0] in "aeiou" else "a"


PRONTOQA = Generator(
    name="prontoqa",
    summary="5-hop chains of made-up concepts: is a property true of an entity?",
    options=ProntoQAOptions,
    draw=draw,
)
