"""ProsQA as released with 2412.06769: a JSON list with text and graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader, list_field
from latentreason.data.readers.generic import JsonOptions, read_json
from latentreason.data.rows import fail, json_rows


def read_prosqa(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield the examples in text form; the graph is checked and kept in `meta`."""
    for (line, row), example in zip(json_rows(path), read_json(path, JsonOptions()), strict=True):
        check_graph(path, line, row)
        yield example


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
    return num_nodes


def _is_node(value: Any, num_nodes: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < num_nodes


PROSQA = Reader(
    name="prosqa",
    summary="ProsQA JSON as text: rules, steps, answer; the graph in meta",
    options=NoOptions,
    read=read_prosqa,
)
