"""ProsQA as released with 2412.06769: a JSON list with text and graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.graph import shortest_path_layers
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

    Generated symbolic examples have no names; their nodes are those that are spoken of.

    Raises:
        DataError: a key is missing, of another type, or names a node that does not exist; or root
            and options are not three nodes.
    """
    edges = list_field(path, line, row, "edges", list)
    if "idx_to_symbol" in row:
        num_nodes = len(list_field(path, line, row, "idx_to_symbol", str))
    else:
        spoken_of = [*(node for edge in edges for node in edge), *(row.get(key) for key in _ENDS)]
        num_nodes = 1 + max((node for node in spoken_of if isinstance(node, int)), default=-1)
    for number, edge in enumerate(edges):
        if len(edge) != 2 or not all(_is_node(node, num_nodes) for node in edge):
            fail(path, line, f'field "edges", item {number}: {edge} is no pair of nodes')
    for key in _ENDS:
        if not _is_node(row.get(key), num_nodes):
            fail(path, line, f'field "{key}": {row.get(key)!r} is no node (0 to {num_nodes - 1})')
    if row["root"] == row["target"]:
        fail(path, line, f'field "target": {row["target"]} is the root')
    if row["neg_target"] == row["target"]:
        fail(path, line, f'field "neg_target": {row["neg_target"]} is the target')
    return num_nodes


def check_layers(path: Path, line: int, row: dict[str, Any], num_nodes: int) -> None:
    """Check `neighbor_k`, where a row has it: per depth, the nodes on some shortest path.

    Training draws its targets from it.

    Raises:
        DataError: it has another form, or other nodes than the edges give.
    """
    layers = row.get("neighbor_k")
    true = shortest_path_layers(num_nodes, row["edges"], row["root"], row["target"])
    if layers is None or true is None:
        return
    depths = [str(depth) for depth in range(len(true))]
    if not isinstance(layers, dict) or sorted(layers) != sorted(depths):
        fail(
            path,
            line,
            f'field "neighbor_k" has to be an object with the keys "0" to "{depths[-1]}"',
        )
    for depth, nodes in layers.items():
        if not isinstance(nodes, list) or not all(_is_node(node, num_nodes) for node in nodes):
            fail(path, line, f'field "neighbor_k", "{depth}": {nodes!r} is no list of nodes')
        if sorted(nodes) != true[int(depth)]:
            fail(
                path,
                line,
                f'field "neighbor_k", "{depth}": {nodes} are not the nodes on a shortest path '
                f"there, {true[int(depth)]}",
            )


_ENDS = ("root", "target", "neg_target")


def _is_node(value: Any, num_nodes: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < num_nodes


PROSQA = Reader(
    name="prosqa",
    summary="ProsQA JSON as text: rules, steps, answer; the graph in meta",
    options=NoOptions,
    read=read_prosqa,
)
