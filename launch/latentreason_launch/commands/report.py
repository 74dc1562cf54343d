"""Write a report on runs: Markdown, a self-contained page, plots."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason report`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders that `eval` wrote")
    parser.add_argument("--out", required=True, help="the folder to write")
    parser.add_argument("--title", default="Evaluation")
    parser.add_argument(
        "--training",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="run folders that `train` wrote: accuracy on the validation split by step",
    )
    parser.add_argument(
        "--questions",
        action="store_true",
        help="put questions, golds and outputs into the sample browser; do not commit such a report",
    )


def run(arguments: argparse.Namespace) -> None:
    """Write and say where."""
    from latentreason_eval.api import report

    report(
        arguments.runs,
        out=arguments.out,
        questions=arguments.questions,
        title=arguments.title,
        training=arguments.training,
    )
    print(arguments.out)
