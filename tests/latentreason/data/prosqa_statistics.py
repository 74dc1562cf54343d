"""Statistics of ProsQA graphs that the generator has to share with the released files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from latentreason.data import Example
from latentreason.data.graph import adjacency, distances


def figures(example: Example) -> dict[str, float]:
    """Return the scalar figures of one example."""
    meta = example.meta
    num_nodes = len(meta["idx_to_symbol"])
    children, parents = adjacency(num_nodes, meta["edges"])
    below = distances(children, 1 - meta["root"])
    return {
        "nodes": num_nodes,
        "edges": len(meta["edges"]),
        "length": len(example.steps),
        "paths": _count_paths(parents, meta["root"], meta["target"], len(example.steps)),
        "root_is_1": meta["root"],
        "entities": sum(not p for p in parents),
        "wrong_depth": below[meta["neg_target"]],
        "words": len(example.question.split()),
        "target_in_degree": len(parents[meta["target"]]),
        "wrong_in_degree": len(parents[meta["neg_target"]]),
        "leaves": sum(not c for c in children) / num_nodes,
        "single_parent": sum(len(p) == 1 for p in parents) / num_nodes,
    }


def label_counts(examples: Sequence[Example]) -> list[int]:
    """Count nodes that none, only the other entity, only the root, or both reach."""
    counts: Counter[int] = Counter()
    for example in examples:
        meta = example.meta
        num_nodes = len(meta["idx_to_symbol"])
        children, _ = adjacency(num_nodes, meta["edges"])
        root, other = distances(children, meta["root"]), distances(children, 1 - meta["root"])
        counts.update((node in other) + 2 * (node in root) for node in range(2, num_nodes))
    return [counts[label] for label in range(4)]


def standard_errors_apart(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the difference of two means in standard errors of the difference."""
    error = np.sqrt(np.var(ours, ddof=1) / len(ours) + np.var(theirs, ddof=1) / len(theirs))
    return float(abs(np.mean(ours) - np.mean(theirs)) / error)


def chi_squared(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Return the p-value of two rows of counts being drawn from one distribution."""
    return float(stats.chi2_contingency([ours, theirs]).pvalue)


def shortcut(examples: Sequence[Example], cue: Callable[[Example, int], float]) -> float:
    """Accuracy of taking the option with the smaller cue; a tie counts one half."""
    score = 0.0
    for example in examples:
        right, wrong = (cue(example, example.meta[key]) for key in ("target", "neg_target"))
        score += 1.0 if right < wrong else 0.5 if right == wrong else 0.0
    return score / len(examples)


def mentions(example: Example, node: int) -> float:
    """How many sentences name an option; the question names both once."""
    return sum(node in edge for edge in example.meta["edges"])


def in_degree(example: Example, node: int) -> float:
    """How many rules lead to a node."""
    return sum(child == node for _, child in example.meta["edges"])


def ancestors(example: Example, node: int) -> float:
    """How many nodes reach a node; the target of a released graph has more."""
    _, parents = adjacency(_num_nodes(example), example.meta["edges"])
    return -float(len(distances(parents, node)))


def stated_of_other(example: Example, node: int) -> float:
    """Whether a rule states the option of the other entity outright."""
    return float([1 - example.meta["root"], node] in example.meta["edges"])


def _num_nodes(example: Example) -> int:
    return 1 + max(node for edge in example.meta["edges"] for node in edge)


def _count_paths(parents: Sequence[Sequence[int]], root: int, node: int, length: int) -> int:
    """Count the paths of exactly `length` edges from root to node."""
    if length == 0:
        return int(node == root)
    return sum(_count_paths(parents, root, parent, length - 1) for parent in parents[node])
