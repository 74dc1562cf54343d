"""Splits of a recipe: one named reader or generator, its file or size, its options."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from latentreason.config import SplitConfig
from latentreason.data.example import Example
from latentreason.data.files import find, locate
from latentreason.data.generators import GENERATORS
from latentreason.data.options import build_options
from latentreason.data.readers import READERS, Reader
from latentreason.errors import DataError, UserError, check_choice


def load_split(split: SplitConfig, root: str | None = None) -> list[Example]:
    """Read or generate the examples of one split.

    Args:
        split: exactly one of `reader` and `generator`, with what belongs to it.
        root: the folder below which relative files lie first (`data.root`).

    Returns:
        The examples, in file order or in the order drawn; every `meta["id"]` is unique.

    Raises:
        UserError: an unknown name or option, or keys that do not go together.
        MissingFileError: the file is nowhere.
        DataError: a row cannot be read, two rows share an id, or there is no row.
    """
    if (split.reader is None) == (split.generator is None):
        raise UserError(
            f"data split: reader is {split.reader!r} and generator is {split.generator!r}; set "
            f"exactly one (readers: {', '.join(READERS)}; generators: {', '.join(GENERATORS)})"
        )
    if split.size is not None and split.size < 1:
        raise UserError(f"data split: size: {split.size} has to be at least 1, or null")
    return _generated(split) if split.generator is not None else _read(split, root)


def read_examples(reader_name: str, path: str | Path, **options: Any) -> list[Example]:
    """Read a file with a named reader; `path` is looked for as in a recipe without `data.root`.

    Raises:
        UserError, MissingFileError, DataError: as `load_split`.
    """
    return load_split(SplitConfig(reader=reader_name, file=str(path), options=options))


def _generated(split: SplitConfig) -> list[Example]:
    assert split.generator is not None
    check_choice("data split: generator", split.generator, GENERATORS)
    generator = GENERATORS[split.generator]
    if split.file is not None:
        raise UserError(
            f'data split: file: "{split.file}" would be ignored, since generator '
            f'"{split.generator}" reads none; use reader, or drop file'
        )
    if split.size is None:
        raise UserError(f'data split: generator "{split.generator}" needs size, e.g. size: 1000')
    options = build_options(generator.options, split.options, f'generator "{split.generator}"')
    return generator.generate(split.size, split.seed, options)


def _read(split: SplitConfig, root: str | None) -> list[Example]:
    assert split.reader is not None
    check_choice("data split: reader", split.reader, READERS)
    reader = READERS[split.reader]
    if not split.file:
        raise UserError(f'data split: reader "{split.reader}" needs file')
    if split.seed != 0:
        raise UserError(
            f"data split: seed: {split.seed} would be ignored, since a reader draws nothing; "
            "readers that do have a seed among their options"
        )
    options: Any = build_options(reader.options, split.options, f'reader "{split.reader}"')
    source = _source(reader, split.file, root)
    return _checked(islice(reader.examples(source, options, root), split.size), source)


def _source(reader: Reader, file: str, root: str | None) -> Path:
    if not reader.hub:
        return locate(file, root)
    return find(file, root) or Path(file)


def _checked(examples: Iterable[Example], source: Path) -> list[Example]:
    """Return the examples as a list after checking that there are any and that ids differ."""
    listed = list(examples)
    if not listed:
        raise DataError(f"{source}: holds no examples")
    rows: dict[str, int] = {}
    for number, example in enumerate(listed):
        first = rows.setdefault(example.meta["id"], number)
        if first != number:
            raise DataError(
                f'{source}: examples {first} and {number} have the same id "{example.meta["id"]}"'
            )
    return listed
