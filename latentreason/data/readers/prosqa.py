"""ProsQA as released with 2412.06769: a JSON list with text and graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, list_field
from latentreason.data.readers.generic import JsonOptions, row_example
from latentreason.data.rows import fail, json_rows


def read_prosqa(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples in text form; the graph is checked and kept in `meta`."""
    for index, (line, row) in enumerate(json_rows(path)):
        check_graph(path, line, row)
        yield row_example(path, line, row, index, JsonOptions())


def check_graph(path: Path, line: int, row: dict[str, Any]) -> int:
    """Check the graph's keys and return the number of nodes.

    Raises:
        DataError: a key is missing, of another type, or names a node that does not exist.
    """
    num_nodes = len(list_field(path, line, row, "idx_to_symbol", str))
    edges = list_field(path, line, row, "edges", list)
    for number, edge in enumerate(edges):
        if len(edge) != 2 or not all(_is_node(node, num_nodes) for node in edge):
            fail(path, line, f'field "edges", item {number}: {edge} is no pair of nodes')
    for key in ("root", "target", "neg_target"):
        if not _is_node(row.get(key), num_nodes):
            fail(path, line, f'field "{key}": {row.get(key)!r} is no node (0 to {num_nodes - 1})')
    if row["root"] == row["target"]:
        fail(path, line, f'field "target": {row["target"]} is the root')
    return num_nodes


def check_layers(path: Path, line: int, row: dict[str, Any], num_nodes: int) -> None:
    """Check `neighbor_k`, where a row has it: per depth, "0" to "L", a list of nodes.

    Raises:
        DataError: it has another form.
    """
    layers = row.get("neighbor_k", {"0": []})
    depths = [str(depth) for depth in range(len(layers))] if isinstance(layers, dict) else []
    if not depths or sorted(layers, key=str) != sorted(depths):
        fail(path, line, 'field "neighbor_k" has to be an object with the keys "0" to "L"')
    for depth, nodes in layers.items():
        if not isinstance(nodes, list) or not all(_is_node(node, num_nodes) for node in nodes):
            fail(path, line, f'field "neighbor_k", "{depth}": {nodes!r} is no list of nodes')


def _is_node(value: Any, num_nodes: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < num_nodes


PROSQA = Reader(
    name="prosqa",
    summary="ProsQA JSON as text: rules, steps, answer; the graph in meta",
    options=NoOptions,
    read=read_prosqa,
)
