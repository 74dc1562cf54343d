"""Write a checkpoint's backbone alone, as an ordinary Hugging Face directory without thoughts."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason export`."""
    parser.add_argument("checkpoint", help="a latentreason checkpoint or run folder")
    parser.add_argument("out", help="the folder to write")


def run(arguments: argparse.Namespace) -> None:
    """Export and say where."""
    from latentreason.export import export_backbone

    export_backbone(arguments.checkpoint, arguments.out)
    print(arguments.out)
