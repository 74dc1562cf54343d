"""Draw an attention layout of latentreason_kernels as a picture."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason mask`."""
    parser.add_argument("--layout", required=True, help="name of an example layout")
    parser.add_argument("--out", required=True, help="PNG file to write")


def run(arguments: argparse.Namespace) -> None:
    """Draw and say where."""
    from latentreason.errors import check_choice
    from latentreason_kernels.examples import EXAMPLES, example
    from latentreason_kernels.picture import save_picture

    check_choice("layout", arguments.layout, EXAMPLES)
    save_picture(example(arguments.layout), arguments.out)
    print(arguments.out)
