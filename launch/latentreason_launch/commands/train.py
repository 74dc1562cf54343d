"""Train a recipe; a killed run goes on where it was.

Several ranks: torchrun --nproc-per-node N -m latentreason_launch.train RECIPE key=value ...
"""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason train`."""
    parser.add_argument("recipe", help="recipe file, or a name that `latentreason ls` prints")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. optim.lr=1e-4")


def run(arguments: argparse.Namespace) -> None:
    """Train and say where the checkpoint lies."""
    from latentreason.recipes import load_recipe

    recipe = load_recipe(arguments.recipe, arguments.overrides)

    from latentreason_launch.training import train_recipe

    result = train_recipe(recipe)
    if result.main:
        print(f"step {result.state.step}: {result.checkpoint}")
