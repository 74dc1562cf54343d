"""Turn a checkpoint that others have trained into ours."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason convert`."""
    parser.add_argument(
        "source", help="state-dict file of a method's released code, or a model folder"
    )
    parser.add_argument("out", help="the folder to write")
    parser.add_argument("--method", required=True, help="a name that `latentreason ls` prints")
    parser.add_argument("--stage", type=int, required=True, help="the stage it was trained to")
    parser.add_argument("--num-thoughts", type=int, required=True, help="thoughts per question")
    parser.add_argument("--base", help="backbone of a state dict: hub name or folder")
    parser.add_argument(
        "--set",
        dest="settings",
        nargs="+",
        default=[],
        metavar="key=value",
        help="method settings, e.g. thoughts_per_step=2",
    )


def run(arguments: argparse.Namespace) -> None:
    """Convert and say where."""
    from latentreason.convert import convert

    convert(
        arguments.source,
        arguments.out,
        method=arguments.method,
        stage=arguments.stage,
        num_thoughts=arguments.num_thoughts,
        base=arguments.base,
        settings=arguments.settings,
    )
    print(arguments.out)
