"""List methods, recipes, benchmarks, readers and generators."""

from __future__ import annotations

import argparse
from pathlib import Path

KINDS = ("methods", "recipes", "benchmarks", "readers", "generators")


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason ls`."""
    parser.add_argument("kind", nargs="?", choices=KINDS, help="default: all of them")


def run(arguments: argparse.Namespace) -> None:
    """Print name and summary of each."""
    for kind in [arguments.kind] if arguments.kind else KINDS:
        print(f"{kind}:")
        rows = _rows(kind)
        width = max((len(name) for name, _ in rows), default=0)
        for name, summary in rows:
            print(f"  {name:<{width}}  {summary}".rstrip())


def _rows(kind: str) -> list[tuple[str, str]]:
    if kind == "methods":
        from latentreason.registry import METHODS

        return [(name, entry.summary) for name, entry in METHODS.items()]
    if kind == "recipes":
        from latentreason.recipes import shipped_recipes

        return [(name, _first_comment(path)) for name, path in shipped_recipes().items()]
    if kind == "benchmarks":
        from latentreason_eval.api import list_benchmarks

        return [(row["benchmark"], row["title"]) for row in list_benchmarks()]
    from latentreason.data import GENERATORS, READERS

    table = READERS if kind == "readers" else GENERATORS
    return [(name, entry.summary) for name, entry in table.items()]


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ") if first.startswith("#") else ""
