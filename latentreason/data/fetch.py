"""Fetching official files into the cache, checked by hash, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from latentreason.data.sources import CACHE_VARIABLE, Source, SourceFile, cache_folder, sources
from latentreason.errors import UserError, check_choice

HASHES = "hashes.json"
TIMEOUT = 30  # seconds without a byte


def get(name: str, table: Mapping[str, Source] | None = None) -> list[Path]:
    """Fetch the files of a source, unless the cache has them; return their paths.

    Args:
        name: one of `latentreason.data.sources.sources()`.
        table: another table of sources; None is the shipped one.

    Raises:
        UserError: an unknown name, a source without official files, a file that cannot be fetched,
            or one whose hash is not the known or recorded one. No part of such a file is left.
    """
    table = sources() if table is None else table
    check_choice("data get", name, table)
    source = table[name]
    if not source.files:
        raise UserError(f"data get {name}: nothing to fetch. {source.note}")
    return [_fetch(name, file, cache_folder()) for file in source.files]


def _fetch(name: str, file: SourceFile, cache: Path) -> Path:
    """Bring one file into the cache; one that is there with the right hash is left alone."""
    import pooch

    # pooch reports each download on stderr; the command line says what it fetches by itself.
    pooch.get_logger().setLevel(logging.ERROR)
    known = file.sha256 or _recorded(cache).get(file.path)
    target = cache / file.path
    with _user_errors(f"data get {name}: {file.url}", file, known, cache):
        pooch.retrieve(
            file.url,
            known_hash=known,
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=False),
        )
        if known is None:
            _record(cache, file.path, hashlib.sha256(target.read_bytes()).hexdigest())
    return target


@contextlib.contextmanager
def _user_errors(where: str, file: SourceFile, known: str | None, cache: Path) -> Iterator[None]:
    """Turn what can go wrong on the way into one line; pooch has removed the unfinished file."""
    from requests import exceptions

    target = cache / file.path
    try:
        yield
    except exceptions.HTTPError as error:
        raise UserError(f"{where}: the server answers {_status(error)}") from error
    except (exceptions.ConnectionError, exceptions.ChunkedEncodingError) as error:
        raise UserError(
            f"{where}: no connection, or it was cut; nothing was kept. Try again, or fetch the "
            f"file by other means and put it at {target}"
        ) from error
    except exceptions.RequestException as error:
        raise UserError(f"{where}: cannot be fetched ({type(error).__name__})") from error
    except UserError:
        raise
    except ValueError as error:
        raise UserError(
            f"{where}: the file's sha256 is not {known}; nothing was kept. The official file has "
            f"changed or was damaged on its way{_forget(file, cache)}"
        ) from error
    except OSError as error:
        raise UserError(
            f"{where}: cannot write {target} ({error.strerror or error}); name another cache "
            f"folder with {CACHE_VARIABLE}"
        ) from error


def _status(error: object) -> str:
    response = getattr(error, "response", None)
    return f"{response.status_code} {response.reason}" if response is not None else str(error)


def _forget(file: SourceFile, cache: Path) -> str:
    """Say how a recorded hash is given up; a shipped one is not the user's to change."""
    if file.sha256 is not None:
        return ""
    return f"; to take the new one, delete its line in {cache / HASHES}"


def _recorded(cache: Path) -> dict[str, str]:
    """Return the hashes of first downloads, by path below the cache."""
    try:
        return dict(json.loads((cache / HASHES).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{cache / HASHES} is not a JSON object of paths and hashes; delete it"
        ) from error


def _record(cache: Path, path: str, digest: str) -> None:
    unfinished = cache / f"{HASHES}.{os.getpid()}.part"
    hashes = _recorded(cache) | {path: digest}
    unfinished.write_text(json.dumps(hashes, indent=1, sort_keys=True) + "\n", "utf-8")
    unfinished.replace(cache / HASHES)
