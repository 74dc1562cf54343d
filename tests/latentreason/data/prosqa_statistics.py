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


def regression(examples: Sequence[Example], folds: int = 5) -> float:
    """Accuracy, cross-validated, of telling the target by counts that do not involve the root.

    Logistic regression on the options' differences in parents, in the parents' children, and in
    ancestors at distance 2, 3 and in all (at distance 1 they are the parents).
    """
    x = np.array(
        [
            np.subtract(*(_counts(e, e.meta[key]) for key in ("target", "neg_target")))
            for e in examples
        ],
        dtype=float,
    )
    x /= x.std(axis=0) + 1e-9
    fold = np.random.default_rng(0).integers(folds, size=len(x))
    right = 0.0
    for held_out in range(folds):
        scores = x[fold == held_out] @ _fit(x[fold != held_out])
        right += float((scores > 0).sum() + 0.5 * (scores == 0).sum())
    return right / len(x)


def _fit(x: np.ndarray) -> np.ndarray:
    """Newton's method with a little ridge; in every row the first option is right."""
    weights = np.zeros(x.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (1 - p) - weights
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(x.shape[1])
        weights += np.linalg.solve(hessian, gradient)
    return weights


def _counts(example: Example, node: int) -> list[int]:
    children, parents = adjacency(_num_nodes(example), example.meta["edges"])
    above = Counter(distances(parents, node).values())
    siblings = sum(len(children[parent]) for parent in parents[node])
    return [len(parents[node]), siblings, above[2], above[3], sum(above.values())]


def _num_nodes(example: Example) -> int:
    return 1 + max(node for edge in example.meta["edges"] for node in edge)


def _count_paths(parents: Sequence[Sequence[int]], root: int, node: int, length: int) -> int:
    """Count the paths of exactly `length` edges from root to node."""
    if length == 0:
        return int(node == root)
    return sum(_count_paths(parents, root, parent, length - 1) for parent in parents[node])
