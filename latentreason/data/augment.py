"""Ways to draw a training example anew each time it is seen, by name (`data.train.augment`)."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from latentreason.data.example import Example
from latentreason.data.graph import num_nodes_of
from latentreason.data.symbolic import symbolic_example
from latentreason.errors import UserError

Augment = Callable[[Example, np.random.Generator], Example]


def edge_order(example: Example, rng: np.random.Generator) -> Example:
    """A symbolic graph with edges and options in a new order, and a new shortest path as its steps
    (2505.12514, released code)."""
    return _redraw(example, rng, relabel=False)


def node_labels(example: Example, rng: np.random.Generator) -> Example:
    """The same with the nodes' numbers permuted, so that they tell nothing of the depth."""
    return _redraw(example, rng, relabel=True)


AUGMENTATIONS: dict[str, Augment] = {"edge_order": edge_order, "node_labels": node_labels}


def _redraw(example: Example, rng: np.random.Generator, relabel: bool) -> Example:
    meta = example.meta
    if "neighbor_k" not in meta:
        raise UserError(
            f"data.train.augment: example {meta['id']} is no symbolic graph; read it with "
            "prosqa_symbolic, or generate prosqa with form: symbolic"
        )
    graph = {**meta, "num_nodes": num_nodes_of(meta)}
    draw = random.Random(int(rng.integers(2**62)))
    return symbolic_example(graph, draw, relabel=relabel)
