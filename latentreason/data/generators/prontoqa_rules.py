"""The rules of a 5-hop ProntoQA question (2210.01240), as 10,000 generated ones show them.

Nothing varies but names, properties, polarity and order: a chain of five concepts whose last has
the property that is asked for, distractors, and one concept that has its opposite.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from latentreason.data.generators.names import PRONTOQA_CONCEPTS, PRONTOQA_ENTITIES

HOPS = 5
FAMILIES = (
    ("blue", "brown", "orange", "red"),
    ("large", "small"),
    ("liquid", "luminous", "metallic", "wooden"),
    ("opaque", "transparent"),
    ("feisty", "happy", "nervous", "shy"),
    ("bright", "dull"),
    ("bitter", "sour", "spicy", "sweet"),
    ("earthy", "floral", "fruity"),
    ("cold", "hot", "temperate"),
    ("aggressive", "amenable", "angry", "kind", "mean"),
    ("discordant", "loud", "melodic", "muffled"),
    ("fast", "moderate", "slow"),
    ("overcast", "rainy", "snowy", "sunny", "windy"),
)
# Shares of "not" as measured: the chain's first concepts, its last one, and the distractors differ.
NEGATED_IN_CHAIN, NEGATED_LAST, NEGATED_ELSEWHERE = 0.274, 0.466, 0.328


@dataclass(frozen=True)
class Rules:
    """A drawn question.

    Attributes:
        entity: whom it is about.
        chain: the five concepts from the first fact to the property.
        kinds: is-a rules, (concept, parent).
        properties: property rules, (concept, property, whether negated).
        aside: the concept of the second fact, which leads nowhere.
        complement: the concept with the opposite of the property asked for.
        asked_negated: whether the question says "not".
    """

    entity: str
    chain: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...]
    properties: tuple[tuple[str, str, bool], ...]
    aside: str
    complement: str
    asked_negated: bool

    def property_of(self, concept: str) -> tuple[str, bool]:
        """Return the property of a concept and whether it is negated."""
        return next((word, no) for name, word, no in self.properties if name == concept)


def draw_rules(rng: random.Random, debiased: bool) -> Rules:
    """Draw names, properties and polarity; the order of sentences is drawn when they are written.

    Args:
        rng: the source of chance.
        debiased: give the complement concept a child and two parents of its own, as the chain's
            last concept has, and toss fair coins for the two polarities, so that neither counts of
            mentions nor "not" tell the answer.
    """
    concepts = rng.sample(PRONTOQA_CONCEPTS, len(PRONTOQA_CONCEPTS))
    chain, distractors = concepts[:HOPS], concepts[HOPS : HOPS + 6]
    aside, aside_parent, complement, child, parent, bare_parent = concepts[HOPS + 6 :]
    # The chain's concepts have one distractor each besides the next concept, the last one has two,
    # the second of them without a property.
    kinds = list(zip(chain, [*chain[1:], distractors[5]], strict=True))
    kinds += zip(chain, distractors[:HOPS], strict=True)
    kinds.append((aside, aside_parent))
    bearers = [*chain[:-1], *distractors[:HOPS], aside]
    if debiased:
        kinds += [(child, complement), (complement, parent), (complement, bare_parent)]
        bearers += [child, parent]
    words = iter([rng.choice(family) for family in rng.sample(FAMILIES, len(FAMILIES))])
    asked = next(words)
    negated = rng.random() < (0.5 if debiased else NEGATED_LAST)
    properties = [(chain[-1], asked, negated), (complement, asked, not negated)]
    for bearer in bearers:
        share = NEGATED_IN_CHAIN if bearer in chain else NEGATED_ELSEWHERE
        properties.append((bearer, next(words), rng.random() < share))
    return Rules(
        entity=rng.choice(PRONTOQA_ENTITIES),
        chain=tuple(chain),
        kinds=tuple(kinds),
        properties=tuple(properties),
        aside=aside,
        complement=complement,
        asked_negated=rng.random() < 0.5,
    )
