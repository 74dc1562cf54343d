"""Errors that are the user's to mend, and the words in which we tell them.

Every message names the argument, its value, what is allowed and what to do next. The command line
prints them as one line and exits with code 2; anything else is a bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(ValueError):
    """Something the user gave cannot be used; the message says what and what to do."""


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that the user named does not exist or is not what it should be."""


class DataError(UserError):
    """A data file has a row that cannot be read; the message names file and line."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ' (did you mean "x"?)' for the allowed word nearest to `word`, or ''."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f' (did you mean "{close[0]}"?)' if close else ""


def check_choice(argument: str, value: str, allowed: Iterable[str]) -> None:
    """Raise UserError unless `value` is one of `allowed`."""
    allowed = list(allowed)
    if value not in allowed:
        raise UserError(
            f'{argument}: "{value}" is not known{nearest(str(value), allowed)}; '
            f"allowed: {', '.join(allowed)}"
        )


def check_new_folder(argument: str, folder: str | Path) -> None:
    """Raise UserError where `folder` holds a model already, or is a file."""
    if Path(folder).is_file():
        raise UserError(f"{argument}: {folder} is a file; give a folder")
    if (Path(folder) / "config.json").exists():
        raise UserError(f"{argument}: {folder} holds a model already; give another folder")
