"""ProsQA without reasoning: what its graphs give away (coconut.md 2.3; data README, section 3).

All read `edges`, `root`, `target` and `neg_target` from the example's meta and score how often the
target would be chosen; a tie scores one half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latentreason.data.example import Example
from latentreason.data.graph import adjacency, distances, num_nodes_of

FOLDS = 5
RIDGE = 1e-2


def in_degree(examples: Sequence[Example]) -> list[float]:
    """Choose the option that fewer rules mention: options are leaves, so that is in-degree."""
    return _fewer(examples, lambda graph, node: len(graph.parents[node]))


def other_entity(examples: Sequence[Example]) -> list[float]:
    """Choose the option that is stated less often of entities other than the one asked about."""
    return _fewer(
        examples,
        lambda graph, node: sum(
            not graph.parents[parent] and parent != graph.root for parent in graph.parents[node]
        ),
    )


def larger_node(examples: Sequence[Example]) -> list[float]:
    """Choose the larger node number, which the symbolic form shows."""
    return _fewer(examples, lambda graph, node: -node)


def two_expansions(examples: Sequence[Example]) -> list[float]:
    """Know what the entity's own rules reach after two expansions: three hops."""
    return [_within(_Graph(example), 3) for example in examples]


def three_expansions(examples: Sequence[Example]) -> list[float]:
    """Know what the entity's own rules reach after three expansions: four hops."""
    return [_within(_Graph(example), 4) for example in examples]


def ancestors(examples: Sequence[Example]) -> list[float]:
    """Regress on counts that ignore the entity: parents, their out-degree, ancestors by depth.

    Logistic regression on the difference of the two options' counts, 5-fold cross-validation over
    the scored examples.
    """
    import numpy as np

    graphs = [_Graph(example) for example in examples]
    gaps = np.array([_counts(g, g.target) for g in graphs]) - np.array(
        [_counts(g, g.wrong) for g in graphs]
    )
    # The sign is random, so that the regression cannot learn which option comes first.
    signs = np.where(np.random.default_rng(0).random(len(graphs)) < 0.5, 1.0, -1.0)
    rows = gaps * signs[:, None]
    scale = rows.std(axis=0)
    rows = rows / np.where(scale > 0, scale, 1.0)
    fold = np.arange(len(graphs)) % FOLDS
    scores = np.full(len(graphs), 0.5)
    for held in range(min(FOLDS, len(graphs))):
        train, test = fold != held, fold == held
        if train.any():
            weights = _logistic(rows[train], signs[train])
            margin = (rows[test] @ weights) * signs[test]
            scores[test] = (margin > 0) + 0.5 * (margin == 0)
    return [float(score) for score in scores]


class _Graph:
    def __init__(self, example: Example) -> None:
        meta = example.meta
        self.children, self.parents = adjacency(num_nodes_of(meta), meta["edges"])
        self.root, self.target, self.wrong = meta["root"], meta["target"], meta["neg_target"]


def _fewer(examples: Sequence[Example], count: Callable[[Any, int], float]) -> list[float]:
    scores = []
    for graph in map(_Graph, examples):
        right, wrong = count(graph, graph.target), count(graph, graph.wrong)
        scores.append(1.0 if right < wrong else 0.5 if right == wrong else 0.0)
    return scores


def _within(graph: _Graph, hops: int) -> float:
    found = distances(graph.children, graph.root)
    if found.get(graph.target, hops + 1) <= hops:
        return 1.0
    return 0.0 if found.get(graph.wrong, hops + 1) <= hops else 0.5


def _counts(graph: _Graph, node: int) -> list[float]:
    depth = distances(graph.parents, node)
    degrees = [len(graph.children[parent]) for parent in graph.parents[node]]
    return [
        float(len(graph.parents[node])),
        float(sum(degrees)),
        float(sum(hops == 2 for hops in depth.values())),
        float(sum(hops == 3 for hops in depth.values())),
        float(len(depth) - 1),
    ]


def _logistic(rows: Any, signs: Any) -> Any:
    """Ridge logistic regression without intercept, by Newton's method."""
    import numpy as np

    weights = np.zeros(rows.shape[1])
    targets = (signs + 1) / 2
    for _ in range(25):
        chance = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (chance - targets) + RIDGE * weights
        curvature = rows.T @ (rows * (chance * (1 - chance))[:, None])
        weights = weights - np.linalg.solve(curvature + RIDGE * np.eye(len(weights)), gradient)
    return weights
