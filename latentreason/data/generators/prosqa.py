"""ProsQA: which of two concepts is an entity, in a random graph of is-a rules.

Statistics of the 800 released examples (2412.06769) are met at n = 2000: see the tests. The 17,886
training examples were never released; this generator stands in for them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from latentreason.data.example import Example
from latentreason.data.generators.base import Draft, Generator, GeneratorOptions, part_of
from latentreason.data.generators.names import PROSQA_CONCEPTS, PROSQA_ENTITIES
from latentreason.data.generators.prosqa_graph import (
    Graph,
    Query,
    choose_balanced_query,
    choose_query,
    draw_graph,
)
from latentreason.data.graph import adjacency, shape_key, shortest_path_layers
from latentreason.data.symbolic import draw_path, symbolic_example
from latentreason.errors import UserError


@dataclass
class ProsQAOptions(GeneratorOptions):
    """Options of "prosqa". The part of an example is decided by the shape of its graph.

    Attributes:
        form: "text" (sentences) or "symbolic" (node numbers, `latentreason.data.symbolic`).
        debiased: the two options look alike and a coin decides which entity is asked about, so that
            counts of mentions, parents or ancestors tell nothing.
        max_nodes: nodes a graph may have, 6 to 40; the released files have 28. Smaller graphs suit
            small runs.
        path_lengths: allowed numbers of steps; the symbolic files have [3, 4].
        relabel: symbolic form: random node numbers.
        num_labels: symbolic form: the numbers come from 0..num_labels-1; null takes 0..nodes-1.
    """

    form: Literal["text", "symbolic"] = "text"
    debiased: bool = False
    max_nodes: int = 28
    path_lengths: list[int] = field(default_factory=lambda: [3, 4, 5, 6])
    relabel: bool = False
    num_labels: int | None = None

    def __post_init__(self) -> None:
        owner = 'options of generator "prosqa"'
        if not 6 <= self.max_nodes <= 40:
            raise UserError(f"{owner}: max_nodes: {self.max_nodes} is outside 6 to 40")
        if not self.path_lengths or min(self.path_lengths) < 1:
            raise UserError(
                f"{owner}: path_lengths: {self.path_lengths} has to list whole numbers above 0"
            )
        if self.form == "text" and (self.relabel or self.num_labels is not None):
            raise UserError(f"{owner}: relabel and num_labels need form: symbolic")
        if self.num_labels is not None and not self.relabel:
            raise UserError(f"{owner}: num_labels needs relabel: true")
        if self.num_labels is not None and self.num_labels < self.max_nodes:
            raise UserError(
                f"{owner}: num_labels: {self.num_labels} is less than max_nodes {self.max_nodes}"
            )


def draw(rng: random.Random, options: ProsQAOptions) -> Draft | None:
    """Draw a graph and its question; None where the graph allows none."""
    graph = draw_graph(rng, options.max_nodes)
    choose = choose_balanced_query if options.debiased else choose_query
    query = choose(rng, graph, options.path_lengths)
    parentless = graph.num_nodes - len({child for _, child in graph.edges})
    if query is None or parentless > len(PROSQA_ENTITIES):
        return None
    shape = shape_key(graph.num_nodes, graph.edges)
    return Draft(part_of(shape), shape, partial(_write, rng, options, graph, query))


def _write(
    rng: random.Random, options: ProsQAOptions, graph: Graph, query: Query, example_id: str
) -> Example:
    if options.form == "text":
        return _text_example(rng, graph, query, example_id)
    fields = _fields(graph, query) | {"id": example_id, "num_nodes": graph.num_nodes}
    return symbolic_example(fields, rng, relabel=options.relabel, num_labels=options.num_labels)


def _fields(graph: Graph, query: Query) -> dict[str, Any]:
    """The graph's keys as the released files name them."""
    return {
        "edges": graph.edges,
        "root": query.root,
        "target": query.target,
        "neg_target": query.wrong,
    }


def _text_example(rng: random.Random, graph: Graph, query: Query, example_id: str) -> Example:
    _, parents = adjacency(graph.num_nodes, graph.edges)
    entities, concepts = (
        iter(rng.sample(pool, len(pool))) for pool in (PROSQA_ENTITIES, PROSQA_CONCEPTS)
    )
    names = [next(concepts) if parents[node] else next(entities) for node in range(graph.num_nodes)]

    def sentence(parent: int, child: int) -> str:
        subject = f"Every {names[parent]}" if parents[parent] else names[parent]
        return f"{subject} is a {names[child]}."

    layers = shortest_path_layers(graph.num_nodes, graph.edges, query.root, query.target)
    assert layers is not None  # the query was chosen among the leaves that the root reaches
    path = [query.root, *draw_path(graph.edges, layers, rng)]
    rules = [sentence(parent, child) for parent, child in graph.edges]
    rng.shuffle(rules)
    options = [names[query.target], names[query.wrong]]
    rng.shuffle(options)
    root = names[query.root]
    return Example(
        question=" ".join([*rules, f"Is {root} a {options[0]} or {options[1]}?"]),
        steps=tuple(sentence(*pair) for pair in pairwise(path)),
        answer=f"{root} is a {names[query.target]}.",
        meta={"id": example_id, "idx_to_symbol": names, **_fields(graph, query)},
    )


PROSQA = Generator(
    name="prosqa",
    summary="is-a rules over a random graph: which of two concepts is X? (text or symbolic)",
    options=ProsQAOptions,
    draw=draw,
)
