"""Check recipes: every key, every value, and what contradicts itself."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason validate`."""
    parser.add_argument(
        "recipes",
        nargs="+",
        metavar="RECIPE",
        help="file or shipped name; key=value words override all of them",
    )


def run(arguments: argparse.Namespace) -> None:
    """Load each; the first bad one ends it."""
    from latentreason.recipes import load_recipe

    overrides = [word for word in arguments.recipes if "=" in word and not Path(word).is_file()]
    for name in arguments.recipes:
        if name in overrides:
            continue
        load_recipe(name, overrides)
        print(f"{name}: ok")
