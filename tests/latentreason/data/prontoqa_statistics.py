"""Statistics of 5-hop ProntoQA that the generator has to share with the released files."""

from __future__ import annotations

from collections.abc import Iterator

from latentreason.data import Example


def rules(example: Example) -> Iterator[tuple[str, str, str, bool]]:
    """Yield (form, concept, what it is, whether that is a concept) for every rule."""
    for sentence in example.question.split(". ")[:-3]:
        words = sentence.split()
        plural = words[1] == "are"
        concept = singular(words[0]) if plural else words[1]
        rest = words[2:] if plural else words[3:]
        is_concept = rest[0] in ("a", "an") or (plural and rest[-1].endswith("puses"))
        what = singular(rest[-1]) if is_concept else " ".join(rest)
        yield "plural" if plural else words[0], concept, what, is_concept


def figures(example: Example) -> dict[str, float]:
    """Return the scalar figures of one example."""
    listed = list(rules(example))
    kinds = [(concept, what) for _, concept, what, is_concept in listed if is_concept]
    properties = {concept: what for _, concept, what, is_concept in listed if not is_concept}
    chain = [singular(step.split(". ")[0].split()[-1]) for step in example.steps[:-1]]
    concepts = {name for pair in kinds for name in pair} | set(properties)
    asked = example.question.rsplit(". ", 1)[-1].removesuffix(".").split(" is ")[1]
    facts = example.question.split(". ")[-3:-1]
    return {
        "rules": len(listed),
        "is_a": len(kinds),
        "concepts": len(concepts),
        "words": len(example.question.split()),
        "step_words": sum(len(step.split()) for step in example.steps),
        "steps": len(example.steps),
        "plural_share": sum(form == "plural" for form, *_ in listed) / len(listed),
        "each_share": sum(form == "Each" for form, *_ in listed) / len(listed),
        "negated_properties": sum(p.startswith("not ") for p in properties.values()),
        "last_negated": properties[chain[-1]].startswith("not "),
        "first_negated": properties[chain[0]].startswith("not "),
        "question_negated": asked.startswith("not "),
        "true": example.answer == "True",
        "chain_parents": sum(concept in chain for concept, _ in kinds),
        "chain_fact_first": singular(facts[0].split()[-1]) == chain[0],
        "distinct_properties": len({p.removeprefix("not ") for p in properties.values()}),
        "answer_by_not": (not asked.startswith("not ")) == (example.answer == "True"),
    }


def mentioned_more(example: Example) -> float:
    """Score the shortcut: of the two rules with the asked property, believe the concept seen more.

    A tie counts one half.
    """
    listed = list(rules(example))
    asked = example.question.rsplit(". ", 1)[-1].removesuffix(".").split(" is ")[1]
    word = asked.removeprefix("not ")
    pair = [(c, what) for _, c, what, is_concept in listed if what.removeprefix("not ") == word]
    counts = [sum(c in (one, what) for _, one, what, _ in listed) for c, _ in pair]
    if counts[0] == counts[1]:
        return 0.5
    claim = pair[counts.index(max(counts))][1]
    return float((claim == asked) == (example.answer == "True"))


def singular(word: str) -> str:
    """Return a concept as it is named alone."""
    word = word.lower()
    return word.removesuffix("es") if word.endswith("puses") else word
