"""Rows of text and JSON files with the line on which each begins, so that errors can name it."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from latentreason.errors import DataError, MissingFileError


def fail(path: Path, line: int, problem: str) -> NoReturn:
    """Raise DataError for a line of a file, in the form `file:line: problem`."""
    raise DataError(f"{path}:{line}: {problem}")


def read_text(path: Path) -> str:
    """Return a file as text, always UTF-8, unpacked where the name ends in .gz.

    Raises:
        MissingFileError: there is no such file, or it is a folder.
        DataError: the file is not UTF-8 (with the line) or a broken archive.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MissingFileError(f"{path}: no such file, or it is a folder") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error}); fetch it again") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(path, raw.count(b"\n", 0, error.start) + 1, f"not UTF-8 text ({error.reason})")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) for every line that is not blank."""
    # Only "\n" ends a line: `splitlines` would also cut at rarer separators inside questions.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line.removesuffix("\r")


def json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for every object of a JSON list or of a jsonl file.

    Raises:
        DataError: JSON that cannot be read, or an element that is no object; with its line.
    """
    text = read_text(path)
    rows = _list_elements(path, text) if text.lstrip()[:1] == "[" else _json_lines(path, text)
    for line, value in rows:
        if not isinstance(value, dict):
            fail(path, line, f"expected an object {{...}}, found {type(value).__name__}")
        yield line, value


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                fail(path, number, f"not JSON: {error.msg} (column {error.colno})")
            except (ValueError, RecursionError) as error:
                fail(path, number, f"not JSON that can be read: {error}")


def _list_elements(path: Path, text: str) -> Iterator[tuple[int, Any]]:
    """Decode a JSON list element by element; `json.load` alone would forget where each began."""
    decode = json.JSONDecoder().raw_decode
    start, line = _skip(text, text.index("[") + 1), 1
    counted = 0
    if text[start : start + 1] == "]":
        _check_end(path, text, start)
        return
    while True:
        line += text.count("\n", counted, start)
        counted = start
        try:
            value, end = decode(text, start)
        except json.JSONDecodeError as error:
            fail(path, error.lineno, f"not JSON: {error.msg} (column {error.colno})")
        except (ValueError, RecursionError) as error:
            fail(path, line, f"not JSON that can be read: {error}")
        yield line, value
        end = _skip(text, end)
        mark = text[end : end + 1]
        if mark == "]":
            _check_end(path, text, end)
            return
        if mark != ",":
            where = text.count("\n", 0, end) + 1
            fail(path, where, 'not JSON: expected "," or "]" after an element')
        start = _skip(text, end + 1)


def _check_end(path: Path, text: str, bracket: int) -> None:
    """Two lists written one after the other are no JSON; the second must not be lost."""
    rest = _skip(text, bracket + 1)
    if rest < len(text):
        fail(path, text.count("\n", 0, rest) + 1, 'not JSON: more text after the list\'s "]"')


def _skip(text: str, position: int) -> int:
    """Return the position of the next character that is not white space."""
    while text[position : position + 1] in (" ", "\n", "\t", "\r"):
        position += 1
    return position
