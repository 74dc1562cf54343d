"""`latentreason COMMAND ...`: user errors are one line and exit code 2, anything else is a bug."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from latentreason_launch.commands import COMMANDS


class Parser(argparse.ArgumentParser):
    """Argument errors in one line, as every other user error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(
        prog="latentreason",
        description="Train, evaluate and serve language models that reason in latent space.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        summary = (module.__doc__ or "").splitlines()[0]
        module.add(commands.add_parser(name, help=summary, description=module.__doc__))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = build_parser().parse_args(arguments)
    _quiet()
    from latentreason.errors import UserError

    try:
        return COMMANDS[parsed.command].run(parsed) or 0
    except UserError as error:
        print(f"latentreason {parsed.command}: {_one_line(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output (head, say) has gone; nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _quiet() -> None:
    """Keep the libraries' own bars and notes out of the output."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("DS_LOG_LEVEL", "error")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
