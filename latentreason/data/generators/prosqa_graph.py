"""Random ProsQA graphs and the question that is asked of each.

The recipe was measured on the 800 released graphs (2412.06769; the paper's own generator is not
public): two entities, nodes added one by one below one of them, below the other, or below any.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from latentreason.data.graph import adjacency, distances

MEAN_PARENTS = 1.5
DEPTH_WEIGHT = 1.5
BELOW_FIRST, BELOW_SECOND = 0.35, 0.80
FIRST, SECOND = 1, 2


@dataclass(frozen=True)
class Graph:
    """Nodes 0..num_nodes-1, of which 0 and 1 are the two entities; edges in the order made."""

    num_nodes: int
    edges: list[list[int]]


@dataclass(frozen=True)
class Query:
    """Which of two leaves does the root reach? It reaches `target`, `length` edges away."""

    root: int
    target: int
    wrong: int
    length: int


def draw_graph(rng: random.Random, slots: int) -> Graph:
    """Draw a graph of at most `slots` nodes; nodes without any edge are dropped."""
    labels, depths = [FIRST, SECOND], [0, 0]
    edges: list[list[int]] = []
    for node in range(2, slots):
        candidates = _candidates(rng, labels)
        count = min(_poisson(rng, MEAN_PARENTS), len(candidates))
        weights = [
            DEPTH_WEIGHT * depths[c] + 1 if labels[c] in (FIRST, SECOND) else 1.0
            for c in candidates
        ]
        parents = _weighted_sample(rng, candidates, weights, count)
        edges += [[parent, node] for parent in parents]
        labels.append(0)
        for parent in parents:
            labels[node] |= labels[parent]
        depths.append(min((depths[parent] for parent in parents), default=-1) + 1)
    return _without_isolated(edges)


def choose_query(rng: random.Random, graph: Graph, lengths: Sequence[int]) -> Query | None:
    """Choose root and options as the released files do; None where the graph does not allow it.

    The target is one of the deepest leaves that only one entity reaches, the wrong option any leaf
    that only the other one reaches.
    """
    leaves = _exclusive_leaves(graph)
    deepest = max((depth for side in leaves for depth in side.values()), default=0)
    if deepest not in lengths or not leaves[0] or not leaves[1]:
        return None
    root, target = rng.choice(
        [(side, leaf) for side in (0, 1) for leaf, d in leaves[side].items() if d == deepest]
    )
    return Query(root, target, rng.choice(list(leaves[1 - root])), deepest)


def choose_balanced_query(rng: random.Random, graph: Graph, lengths: Sequence[int]) -> Query | None:
    """Choose two leaves that look alike, then toss a coin for the entity that is asked about.

    The leaves are equally deep below their entity and have equally many parents, and among such
    pairs the numbers of ancestors differ least. Whatever can be computed without the root is then
    independent of the answer, exactly, since the coin is.
    """
    leaves = _exclusive_leaves(graph)
    _, parents = adjacency(graph.num_nodes, graph.edges)
    pairs = []
    for one, depth in leaves[0].items():
        for two, other in leaves[1].items():
            if depth == other and depth in lengths and len(parents[one]) == len(parents[two]):
                unlike = abs(len(distances(parents, one)) - len(distances(parents, two)))
                pairs.append((unlike, one, two, depth))
    if not pairs:
        return None
    least = min(pairs)[0]
    _, one, two, depth = rng.choice([pair for pair in pairs if pair[0] == least])
    if rng.random() < 0.5:
        return Query(0, one, two, depth)
    return Query(1, two, one, depth)


def _exclusive_leaves(graph: Graph) -> list[dict[int, int]]:
    """Return per entity the leaves that it reaches and the other does not, with their depth."""
    children, _ = adjacency(graph.num_nodes, graph.edges)
    reached = [distances(children, entity) for entity in (0, 1)]
    return [
        {
            node: depth
            for node, depth in sorted(reached[side].items())
            if depth and not children[node] and node not in reached[1 - side]
        }
        for side in (0, 1)
    ]


def _candidates(rng: random.Random, labels: Sequence[int]) -> list[int]:
    share = rng.random()
    if share <= BELOW_FIRST:
        return [node for node, label in enumerate(labels) if label == FIRST]
    if share <= BELOW_SECOND:
        return [node for node, label in enumerate(labels) if label == SECOND]
    return list(range(len(labels)))


def _poisson(rng: random.Random, mean: float) -> int:
    """Draw by counting how many uniform factors keep the product above exp(-mean)."""
    count, product, limit = 0, rng.random(), math.exp(-mean)
    while product > limit:
        count += 1
        product *= rng.random()
    return count


def _weighted_sample(
    rng: random.Random, items: Sequence[int], weights: Sequence[float], count: int
) -> list[int]:
    """Draw `count` different items one after the other, each by its weight among those left."""
    left, shares, drawn = list(items), list(weights), []
    for _ in range(count):
        mark = rng.random() * sum(shares)
        index = 0
        while index < len(left) - 1 and mark >= shares[index]:
            mark -= shares[index]
            index += 1
        drawn.append(left.pop(index))
        shares.pop(index)
    return drawn


def _without_isolated(edges: list[list[int]]) -> Graph:
    # The entities keep their numbers even without edges; such a graph has no question anyway.
    used = sorted({0, 1} | {node for edge in edges for node in edge})
    number = {node: index for index, node in enumerate(used)}
    return Graph(len(used), [[number[parent], number[child]] for parent, child in edges])
