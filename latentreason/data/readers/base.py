"""What a reader is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.files import locate
from latentreason.data.rows import fail


@dataclass(frozen=True)
class Reader:
    """A named file format.

    Attributes:
        name: its name in recipes.
        summary: one line for `latentreason ls`.
        options: the dataclass of its options.
        read: yields the examples of a file, lazily. It raises DataError with file and line.
        hub: the source may also be a hub name, which `read` then gets as a string.
        files: options that name further data files; `read` is to get their paths (`examples`).
    """

    name: str
    summary: str
    options: type
    read: Callable[[Path, Any], Iterator[Example]]
    hub: bool = False
    files: tuple[str, ...] = ()

    def examples(self, source: Path, options: Any, root: str | None = None) -> Iterator[Example]:
        """Yield the examples of `source`; further files are looked for below `root` first.

        Raises:
            MissingFileError: one of them is nowhere.
        """
        for name in self.files:
            if getattr(options, name) is not None:
                setattr(options, name, str(locate(getattr(options, name), root)))
        return self.read(source, options)


def text_field(path: Path, line: int, row: dict[str, Any], name: str) -> str:
    """Return a field of a JSON row as text; numbers are written out.

    Raises:
        DataError: the field is missing or of another type.
    """
    if name not in row:
        fail(path, line, f'no field "{name}"; the row has: {", ".join(row) or "nothing"}')
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        fail(path, line, f'field "{name}" has to be text, found {_kind(value)}')
    if isinstance(value, float) and not math.isfinite(value):
        fail(path, line, f'field "{name}" has to be text or a number, found {value}')
    return str(value)


def list_field(path: Path, line: int, row: dict[str, Any], name: str, kind: type) -> list[Any]:
    """Return a field of a JSON row that has to be a list of `kind`.

    Raises:
        DataError: the field is missing, no list, or an item is of another type.
    """
    if name not in row:
        fail(path, line, f'no field "{name}"; the row has: {", ".join(row) or "nothing"}')
    value = row[name]
    if not isinstance(value, list):
        fail(path, line, f'field "{name}" has to be a list, found {_kind(value)}')
    for number, item in enumerate(value):
        if not isinstance(item, kind) or isinstance(item, bool):
            problem = f'field "{name}", item {number}: expected {_NAMES[kind]}, found {_kind(item)}'
            fail(path, line, problem)
    return value


_NAMES = {str: "text", int: "a whole number", list: "a list", dict: "an object"}


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _NAMES.get(type(value), type(value).__name__)
