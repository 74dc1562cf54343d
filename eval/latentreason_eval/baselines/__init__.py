"""Shortcut baselines: what counting and guessing reach: not to be mistaken for reasoning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latentreason.data.example import Example
from latentreason.errors import check_choice
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
from latentreason_eval.metrics.intervals import bootstrap

Baseline = Callable[[Sequence[Example]], list[float]]
"""Examples -> score of each: 1 right, 0 wrong, 0.5 where it has to guess between two."""

BASELINES: dict[str, tuple[str, Baseline]] = {
    "majority": ("always the most frequent gold answer", majority),
    "prosqa_in_degree": ("the option that fewer rules mention", in_degree),
    "prosqa_other_entity": ("the option not stated of another entity", other_entity),
    "prosqa_two_expansions": ("the option within three hops of the entity", two_expansions),
    "prosqa_three_expansions": ("the option within four hops of the entity", three_expansions),
    "prosqa_ancestors": (
        "regression on counts of parents, siblings, ancestors; entity unknown",
        ancestors,
    ),
    "prosqa_larger_node": ("the option with the larger node number", larger_node),
    "prontoqa_concepts": ("the rule whose concept occurs more often", concept_counts),
}


def baseline_rows(names: Sequence[str], examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Return one row per baseline: label, note, n, accuracy with a bootstrap interval."""
    rows = []
    for name in names:
        check_choice("baselines", name, BASELINES)
        note, baseline = BASELINES[name]
        scores = baseline(examples)
        low, high = bootstrap(scores)
        rows.append(
            {
                "kind": "baseline",
                "label": name,
                "note": note,
                "n": len(scores),
                "accuracy": sum(scores) / len(scores),
                "ci_low": low,
                "ci_high": high,
            }
        )
    return rows
