"""Check recipes: every key, every value, and what contradicts itself."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason validate`."""
    parser.add_argument("recipes", nargs="+", metavar="RECIPE", help="file or shipped name")


def run(arguments: argparse.Namespace) -> None:
    """Load each; the first bad one ends it."""
    from latentreason.recipes import load_recipe

    for name in arguments.recipes:
        load_recipe(name)
        print(f"{name}: ok")
