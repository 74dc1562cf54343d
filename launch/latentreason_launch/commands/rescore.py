"""Judge a run's recorded outputs again, without a model."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason rescore`."""
    parser.add_argument("run", help="a folder that `latentreason eval` wrote")
    parser.add_argument("--out", required=True, help="folder for the new records and summaries")
    parser.add_argument("--extractor", help="an answer rule; default: the benchmark's own")
    parser.add_argument("--benchmark", help="where the recorded benchmark is not at hand")


def run(arguments: argparse.Namespace) -> None:
    """Rescore and print accuracy before and after."""
    from latentreason_eval.api import rescore

    row = rescore(
        arguments.run,
        out=arguments.out,
        extractor=arguments.extractor,
        benchmark=arguments.benchmark,
    )

    from latentreason_launch.tables import print_table

    print_table([row], ("accuracy_before", "accuracy", "ci_low", "ci_high", "n", "changed"))
