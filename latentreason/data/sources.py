"""The table of official addresses, `sources.yaml`, and the folder where fetched files are kept."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

import yaml

CACHE_VARIABLE = "LATENTREASON_CACHE"


@dataclass(frozen=True)
class SourceFile:
    """One file: where it goes below the data folder, where it comes from, its sha256 if known."""

    path: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Source:
    """A named set of files.

    Attributes:
        name: what `latentreason data get` is given.
        licence: as the source states it.
        files: what is fetched; empty where there is no official file, and `note` says so.
        note: what a user should know, such as that the official file is larger than the benchmark.
    """

    name: str
    licence: str
    files: tuple[SourceFile, ...]
    note: str = ""


def cache_folder() -> Path:
    """Return LATENTREASON_CACHE, or the operating system's cache folder for latentreason."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    import pooch  # not needed for reading, and slow to import

    return Path(pooch.os_cache("latentreason"))


def load_table(text: str) -> dict[str, Source]:
    """Read a table of sources from YAML."""
    table = {}
    for name, entry in yaml.safe_load(text).items():
        base = entry.get("base", "")
        files = tuple(
            SourceFile(file["path"], base + file["url"], file.get("sha256"))
            for file in entry.get("files", [])
        )
        table[name] = Source(name, entry["licence"], files, entry.get("note", ""))
    return table


@functools.cache
def sources() -> dict[str, Source]:
    """Return the shipped table by name."""
    text = resources.files("latentreason.data").joinpath("sources.yaml").read_text("utf-8")
    return load_table(text)


def source_of(file: str) -> str | None:
    """Return the name of the source that holds `file` (a path below the data folder), or None."""
    wanted = PurePosixPath(file)
    for source in sources().values():
        if any(PurePosixPath(entry.path) == wanted for entry in source.files):
            return source.name
    return None
