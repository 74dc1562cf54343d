"""What ProsQA needs to know about a directed acyclic graph.

Nodes are 0..n-1, an edge is (parent, child).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

Edge = Sequence[int]


def num_nodes_of(graph: Mapping[str, Any]) -> int:
    """Return how many nodes a row has: an option may stand in no edge."""
    spoken_of = [node for edge in graph["edges"] for node in edge]
    return 1 + max(*spoken_of, graph["root"], graph["target"], graph["neg_target"])


def adjacency(num_nodes: int, edges: Sequence[Edge]) -> tuple[list[list[int]], list[list[int]]]:
    """Return (children of every node, parents of every node)."""
    children: list[list[int]] = [[] for _ in range(num_nodes)]
    parents: list[list[int]] = [[] for _ in range(num_nodes)]
    for parent, child in edges:
        children[parent].append(child)
        parents[child].append(parent)
    return children, parents


def distances(neighbours: Sequence[Sequence[int]], source: int) -> dict[int, int]:
    """Return the number of edges from `source` to every node that it reaches."""
    reached, frontier = {source: 0}, [source]
    while frontier:
        layer = []
        for node in frontier:
            for neighbour in neighbours[node]:
                if neighbour not in reached:
                    reached[neighbour] = reached[node] + 1
                    layer.append(neighbour)
        frontier = layer
    return reached


def shortest_path_layers(
    num_nodes: int, edges: Sequence[Edge], root: int, target: int
) -> list[list[int]] | None:
    """Return, per depth, the nodes that lie on some shortest path from root to target.

    This is the `neighbor_k` of the symbolic ProsQA files (2505.12514, released data); None where
    the target cannot be reached.
    """
    children, parents = adjacency(num_nodes, edges)
    down, up = distances(children, root), distances(parents, target)
    if target not in down:
        return None
    length = down[target]
    layers: list[list[int]] = [[] for _ in range(length + 1)]
    for node in range(num_nodes):
        if node in down and node in up and down[node] + up[node] == length:
            layers[down[node]].append(node)
    return layers


def shape_key(num_nodes: int, edges: Sequence[Edge]) -> str:
    """Return a key that equal shapes share, however their nodes are numbered or named.

    Colour refinement: a node's colour is made of those of its parents and children, until no new
    colours appear. Isomorphic graphs always get the same key, so splits cut by it share no graph;
    that two different shapes now and then share one costs nothing.
    """
    children, parents = adjacency(num_nodes, edges)
    colours = [0] * num_nodes
    kinds = 1
    while True:
        signatures = [
            (
                colours[node],
                tuple(sorted(colours[child] for child in children[node])),
                tuple(sorted(colours[parent] for parent in parents[node])),
            )
            for node in range(num_nodes)
        ]
        ranks = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
        colours = [ranks[signature] for signature in signatures]
        if len(ranks) == kinds:
            text = repr(sorted(signatures))
            return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        kinds = len(ranks)
