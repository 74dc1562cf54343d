"""ProsQA files read as node numbers (2505.12514), with `neighbor_k` made where a file lacks it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.readers.base import Reader
from latentreason.data.readers.prosqa import check_graph, check_layers
from latentreason.data.rows import fail, json_rows
from latentreason.data.symbolic import symbolic_example
from latentreason.errors import UserError


@dataclass
class ProsQASymbolicOptions:
    """Options of "prosqa_symbolic".

    Attributes:
        relabel: give nodes random numbers; as released they rise along every edge.
        num_labels: the numbers come from 0..num_labels-1; null takes 0..nodes-1.
        seed: of the random numbers, of the order of edges and options, and of the path.
        path_lengths: keep only examples with so many steps; null keeps all.
    """

    relabel: bool = False
    num_labels: int | None = None
    seed: int = 0
    path_lengths: list[int] | None = None

    def __post_init__(self) -> None:
        if self.num_labels is not None and not self.relabel:
            raise UserError('options of reader "prosqa_symbolic": num_labels needs relabel: true')


def read_prosqa_symbolic(path: Path, options: ProsQASymbolicOptions) -> Iterator[Example]:
    """Yield the examples in symbolic form, numbered by their row in the file."""
    for index, (line, row) in enumerate(json_rows(path)):
        num_nodes = check_graph(path, line, row)
        check_layers(path, line, row, num_nodes)
        graph = {
            "id": str(row.get("id", index)),
            "num_nodes": num_nodes,
            **{key: row[key] for key in ("edges", "root", "target", "neg_target")},
            "neighbor_k": row.get("neighbor_k"),
        }
        try:
            example = symbolic_example(
                graph,
                random.Random(f"prosqa_symbolic:{options.seed}:{index}"),
                relabel=options.relabel,
                num_labels=options.num_labels,
            )
        except ValueError as error:
            fail(path, line, str(error))
        if options.path_lengths is None or len(example.steps) in options.path_lengths:
            yield example


PROSQA_SYMBOLIC = Reader(
    name="prosqa_symbolic",
    summary="ProsQA JSON as node numbers: s t | s t ... [Q] a b [R] root",
    options=ProsQASymbolicOptions,
    read=read_prosqa_symbolic,
)
