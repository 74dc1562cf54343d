"""The ProntoQA generator against 10,000 examples made by the authors' generator."""

from __future__ import annotations

import prontoqa_statistics as statistics
import pytest
from prosqa_statistics import chi_squared, standard_errors_apart

from latentreason.config import SplitConfig
from latentreason.data import Example, load_split, read_examples, write_examples
from latentreason.data.generators.prontoqa_rules import FAMILIES

N = 2000


def generate(**options) -> list[Example]:
    return load_split(SplitConfig(generator="prontoqa", size=N, options=options))


@pytest.fixture(scope="module")
def generated() -> list[Example]:
    return generate()


@pytest.fixture
def made_by_authors(official) -> list[Example]:
    return [
        example
        for name in ("train.json.gz", "valid.json", "test.json")
        for example in read_examples("prontoqa", official(f"prontoqa/prontoqa_{name}"))
    ]


def test_figures_are_those_of_the_authors_generator(generated, made_by_authors):
    ours = [statistics.figures(example) for example in generated]
    theirs = [statistics.figures(example) for example in made_by_authors[::2]]
    for name in ours[0]:
        one, two = ([float(f[name]) for f in figures] for figures in (ours, theirs))
        if len(set(one + two)) > 1:
            assert standard_errors_apart(one, two) < 3, name


def test_properties_are_drawn_from_the_families_as_by_the_authors(generated, made_by_authors):
    words = [word for family in FAMILIES for word in family]

    def counts(examples: list[Example]) -> list[int]:
        found = dict.fromkeys(words, 0)
        for example in examples:
            for _, _, what, is_concept in statistics.rules(example):
                if not is_concept:
                    found[what.removeprefix("not ")] += 1
        return list(found.values())

    assert len(words) == 45
    assert chi_squared(counts(generated), counts(made_by_authors[::2])) > 0.01


def test_steps_prove_the_answer(generated):
    for example in generated[:300]:
        asked = example.question.rsplit("True or false: ")[-1]
        assert (asked == example.steps[-1]) == (example.answer == "True")
        assert all(
            sentence.strip().removesuffix(".") + "." in example.question
            for step in example.steps[:-1]
            for sentence in step.split(". ")[1:]
        )
        assert example.steps[0].split(". ")[0] + "." in example.question


def test_debiasing_leaves_the_shortcut_at_chance(generated):
    debiased = generate(debiased=True)
    plain = [statistics.mentioned_more(example) for example in generated]
    assert sum(plain) == N
    assert all(statistics.mentioned_more(example) == 0.5 for example in debiased)
    by_not = [statistics.figures(example)["answer_by_not"] for example in debiased]
    assert abs(sum(by_not) / N - 0.5) < 0.034
    figures = statistics.figures(debiased[0])
    assert (figures["rules"], figures["concepts"], figures["distinct_properties"]) == (28, 17, 13)


def test_parts_share_no_set_of_rules():
    def split(part: str) -> set[tuple]:
        options = {"part": part}
        examples = load_split(SplitConfig(generator="prontoqa", size=300, options=options))
        return {tuple(sorted(rule[1:] for rule in statistics.rules(e))) for e in examples}

    parts = [split(part) for part in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [300] * 3
    assert len(set.union(*parts)) == 900


def test_written_examples_load_back_equal(generated, tmp_path):
    write_examples(generated[:50], tmp_path / "made.json")
    assert read_examples("prontoqa", tmp_path / "made.json") == generated[:50]
