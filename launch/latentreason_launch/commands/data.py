"""Fetch benchmark files from their official addresses, and check them."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason data`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    get = actions.add_parser("get", help="download a data set into the cache")
    get.add_argument("name")
    check = actions.add_parser("check", help="gold answers must score 1, foreign ones 0")
    check.add_argument("names", nargs="*", metavar="NAME")
    check.add_argument("--data", help="your own file in the schema of the one benchmark named")
    check.add_argument("--all", action="store_true", help="every benchmark whose file is at hand")
    check.add_argument("--json", help="also write the rows to this file")
    check.add_argument("--root", help="folder of the data files (default: LATENTREASON_DATA)")


def run(arguments: argparse.Namespace) -> None:
    """Get or check."""
    if arguments.action == "get":
        from latentreason.data.fetch import get

        for path in get(arguments.name):
            print(path)
        return
    _check(arguments)


def _check(arguments: argparse.Namespace) -> None:
    import json
    from pathlib import Path

    from latentreason.errors import UserError
    from latentreason_eval.api import check_benchmarks
    from latentreason_launch.tables import print_table

    if arguments.all == bool(arguments.names):
        raise UserError("data check: give benchmark names, or --all")
    rows = check_benchmarks(
        None if arguments.all else arguments.names, data=arguments.data, root=arguments.root
    )
    print_table(rows)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
