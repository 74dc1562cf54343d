"""Score a checkpoint on a benchmark, with its controls beside it."""

from __future__ import annotations

import argparse
import os
from typing import Any


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of `latentreason eval`."""
    parser.add_argument(
        "checkpoint", help="checkpoint or run folder, any causal LM, or an endpoint"
    )
    parser.add_argument("--benchmark", required=True, help="a name that `latentreason ls` prints")
    parser.add_argument("--out", required=True, help="folder for records and summary")
    parser.add_argument("--split", help="default: the benchmark's own")
    parser.add_argument("--data", help="a file in the benchmark's schema, scored instead")
    parser.add_argument("--root", help="folder of the data files (default: LATENTREASON_DATA)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--limit", type=int, help="only the first questions")
    parser.add_argument("--thought-mode", default="normal")
    parser.add_argument("--num-thoughts", type=int)
    parser.add_argument("--num-steps", type=int, help="denoising steps")
    parser.add_argument("--num-samples", type=int, default=1)
    parser.add_argument("--max-new-tokens", type=int)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--controls", action="store_true", help="score the other thought modes too")
    parser.add_argument("--sweep", help="thoughts=0..8 or steps=5,10,30")
    parser.add_argument("--extractor", help="an answer rule instead of the benchmark's own")
    parser.add_argument("--device")
    parser.add_argument("--dtype")
    parser.add_argument(
        "--endpoint",
        action="append",
        metavar="KEY=VALUE",
        help="of an address: model=NAME, api=chat, concurrency=16, timeout=60, ...",
    )


def run(arguments: argparse.Namespace) -> None:
    """Evaluate and print the table."""
    from latentreason_eval.api import evaluate

    options = {k: v for k, v in vars(arguments).items() if k not in ("command", "checkpoint")}
    options["endpoint"] = _endpoint(arguments.endpoint or [])
    summary = evaluate(arguments.checkpoint, **options)

    from latentreason_launch.tables import evaluation_rows, print_table

    # Under torchrun one rank merges and speaks.
    if os.environ.get("RANK", "0") == "0":
        print_table(evaluation_rows(summary))


def _endpoint(words: list[str]) -> dict[str, Any]:
    """KEY=VALUE words as the endpoint's fields; values are read as YAML."""
    import yaml

    from latentreason.errors import UserError

    fields = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f'--endpoint: "{word}" is not of the form KEY=VALUE')
        fields[key] = yaml.safe_load(value)
    return fields
