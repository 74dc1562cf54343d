"""The symbolic form of a ProsQA example: node numbers and four separators, one word per token.

After "Reasoning by Superposition" (2505.12514) and its released data: `s t | s t | ... s t [Q] a b
[R] root`. The steps are the nodes of one shortest path, the answer is the target.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from latentreason.data.example import Example
from latentreason.data.graph import shortest_path_layers

EDGE_SEPARATOR, OPTIONS_MARK, ROOT_MARK = "|", "[Q]", "[R]"


def symbolic_example(
    graph: dict[str, Any],
    rng: random.Random,
    *,
    relabel: bool = False,
    num_labels: int | None = None,
) -> Example:
    """Write a graph as node numbers; edges and options come in random order.

    Args:
        graph: the keys `id`, `num_nodes`, `edges`, `root`, `target`, `neg_target`, and perhaps
            `neighbor_k`, which is otherwise computed.
        rng: draws the new numbers, a shortest path, and the orders.
        relabel: give the nodes new random numbers. As released, numbers rise along every edge and
            the root is 0 or 1, which a model can lean on.
        num_labels: new numbers are drawn from 0..num_labels-1; None keeps 0..num_nodes-1.

    Raises:
        ValueError: the target cannot be reached from the root, or there are too few labels.
    """
    number = _numbers(graph["num_nodes"], rng, relabel, num_labels)
    edges = [[number[parent], number[child]] for parent, child in graph["edges"]]
    root, target, wrong = (number[graph[key]] for key in ("root", "target", "neg_target"))
    layers = _layers(graph)
    path = draw_path(graph["edges"], layers, rng)
    given = graph.get("neighbor_k") or {str(depth): nodes for depth, nodes in enumerate(layers)}
    neighbor_k = {depth: [number[node] for node in nodes] for depth, nodes in given.items()}
    order, options = list(edges), [target, wrong]
    rng.shuffle(order)
    rng.shuffle(options)
    listed = f" {EDGE_SEPARATOR} ".join(f"{parent} {child}" for parent, child in order)
    question = f"{listed} {OPTIONS_MARK} {options[0]} {options[1]} {ROOT_MARK} {root}"
    meta = {
        "id": graph["id"],
        "edges": edges,
        "root": root,
        "target": target,
        "neg_target": wrong,
        "neighbor_k": neighbor_k,
    }
    return Example(question, tuple(str(number[node]) for node in path), str(target), meta)


def _numbers(
    num_nodes: int, rng: random.Random, relabel: bool, num_labels: int | None
) -> list[int]:
    if not relabel:
        return list(range(num_nodes))
    labels = num_nodes if num_labels is None else num_labels
    if labels < num_nodes:
        raise ValueError(f"num_labels {labels} is too small for a graph of {num_nodes} nodes")
    return rng.sample(range(labels), num_nodes)


def _layers(graph: dict[str, Any]) -> list[list[int]]:
    layers = shortest_path_layers(
        graph["num_nodes"], graph["edges"], graph["root"], graph["target"]
    )
    if layers is None:
        raise ValueError(f"target {graph['target']} cannot be reached from root {graph['root']}")
    return layers


def draw_path(
    edges: Sequence[Sequence[int]], layers: Sequence[Sequence[int]], rng: random.Random
) -> list[int]:
    """Draw a shortest path, without its root, back from the target through the layers."""
    known = {tuple(edge) for edge in edges}
    path = [layers[-1][0]]
    for nodes in reversed(layers[1:-1]):
        path.append(rng.choice([node for node in nodes if (node, path[-1]) in known]))
    return path[::-1]
