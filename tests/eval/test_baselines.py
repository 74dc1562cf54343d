"""Shortcut baselines: by hand on a small graph, and the published figures on the real files."""

from __future__ import annotations

import pytest

from latentreason.data.example import Example
from latentreason_eval.baselines import baseline_rows
from latentreason_eval.baselines.majority import majority
from latentreason_eval.baselines.prontoqa import concept_counts
from latentreason_eval.baselines.prosqa import (
    ancestors,
    in_degree,
    larger_node,
    other_entity,
    three_expansions,
    two_expansions,
)
from latentreason_eval.benchmark import find_benchmark
from latentreason_eval.sources import load_split

# 0 and 1 are entities; 0 -> 2 -> 3 -> 4 is the path, 5 lies below 1 and has two parents.
CHAIN = Example(
    "q",
    (),
    "4",
    {
        "id": "a",
        "edges": [[0, 2], [2, 3], [3, 4], [1, 6], [6, 5], [1, 5]],
        "root": 0,
        "target": 4,
        "neg_target": 5,
    },
)


def test_prosqa_baselines_by_hand():
    assert in_degree([CHAIN]) == [1.0]  # one rule against two
    assert other_entity([CHAIN]) == [1.0]  # entity 1 is said to be a 5
    assert larger_node([CHAIN]) == [0.0]
    assert two_expansions([CHAIN]) == [1.0]  # three hops reach node 4
    longer = dict(CHAIN.meta)
    longer["edges"] = [[0, 2], [2, 3], [3, 7], [7, 4], *CHAIN.meta["edges"][3:]]
    far = Example("q", (), "4", longer)
    assert two_expansions([far]) == [0.5]
    assert three_expansions([far]) == [1.0]


def test_prontoqa_takes_the_more_frequent_concept():
    rules = (
        "Wumpuses are dull. Each lorpus is a wumpus. Every jompus is not dull. Max is a lorpus. "
    )
    question = rules + "True or false: Max is dull."
    assert concept_counts([Example(question, (), "True", {"id": "a"})]) == [1.0]
    negated = rules + "True or false: Max is not dull."
    assert concept_counts([Example(negated, (), "False", {"id": "a"})]) == [1.0]
    assert concept_counts([Example(question, (), "False", {"id": "a"})]) == [0.0]


def test_majority_is_the_best_constant_answer():
    examples = [Example("q", (), answer, {"id": "x"}) for answer in ("A", "B", "A", "C")]
    assert majority(examples) == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "split", "figures"),
    [
        ("prosqa", "test", {"prosqa_in_degree": 0.662, "prosqa_two_expansions": 0.702}),
        ("prontoqa", "test", {"prontoqa_concepts": 1.0}),
        ("aqua_rat", "test", {"majority": 0.248}),
        ("strategyqa", "dev", {"majority": 0.533}),
        ("date_understanding", "bbh", {"majority": 0.2}),
    ],
)
def test_published_figures(data_root, name, split, figures):
    benchmark = find_benchmark(name)
    rows = baseline_rows(benchmark.baselines, load_split(benchmark, split).examples)
    found = {row["label"]: row["accuracy"] for row in rows}
    for label, accuracy in figures.items():
        assert found[label] == pytest.approx(accuracy, abs=0.0005)
    assert all(row["ci_low"] <= row["accuracy"] <= row["ci_high"] for row in rows)


def test_ancestor_counts_solve_most_of_prosqa_and_nothing_of_the_debiased_one(data_root):
    benchmark = find_benchmark("prosqa")
    official = ancestors(load_split(benchmark, "test").examples)
    debiased = ancestors(load_split(benchmark, "debiased").examples)
    assert sum(official) / len(official) > 0.85
    # 500 coin tosses: four standard errors are 0.09.
    assert abs(sum(debiased) / len(debiased) - 0.5) < 0.09
