"""Compare two runs question by question: difference, interval, McNemar's test."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason compare`."""
    parser.add_argument("first", metavar="A", help="a folder that `eval` wrote")
    parser.add_argument("second", metavar="B", help="another on the same questions")


def run(arguments: argparse.Namespace) -> None:
    """Print the paired table."""
    from latentreason_eval.api import compare

    print(compare(arguments.first, arguments.second)["table"])
