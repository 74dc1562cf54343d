"""Where data files lie: given paths, the data folder, the fetch cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from latentreason.data.sources import cache_folder, source_of
from latentreason.errors import MissingFileError

DATA_VARIABLE = "LATENTREASON_DATA"


def places(root: str | None) -> Iterator[Path]:
    """Yield the folders below which a relative path is looked for, in order."""
    if root:
        yield Path(root).expanduser()
    if os.environ.get(DATA_VARIABLE):
        yield Path(os.environ[DATA_VARIABLE]).expanduser()
    yield cache_folder()
    yield Path.cwd()


def find(file: str, root: str | None = None) -> Path | None:
    """Return the first existing path for `file`, or None; folders count as existing."""
    path = Path(file).expanduser()
    if path.is_absolute():
        return path if path.exists() else None
    return next((folder / path for folder in places(root) if (folder / path).exists()), None)


def locate(file: str, root: str | None = None) -> Path:
    """Return the path of a data file.

    Args:
        file: absolute, or relative to `root`, to LATENTREASON_DATA, to the fetch cache or to the
            working directory, in this order.
        root: `data.root` of the recipe.

    Raises:
        MissingFileError: it is in none of them; the message says where we looked and what to do.
    """
    found = find(file, root)
    if found is not None:
        if found.is_dir():
            raise MissingFileError(f"data file {file}: {found} is a folder, not a file")
        return found
    if Path(file).expanduser().is_absolute():
        raise MissingFileError(f"data file {file}: no such file; name an existing one")
    looked = ", ".join(str(folder) for folder in places(root))
    name = source_of(file)
    fetch = f"`latentreason data get {name}`" if name else "`latentreason data get NAME`"
    raise MissingFileError(
        f"data file {file}: not found below {looked}; fetch it with {fetch}, or name its folder "
        f"with data.root=FOLDER or {DATA_VARIABLE}"
    )
