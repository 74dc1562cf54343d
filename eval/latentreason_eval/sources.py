"""Where examples come from: a file below the data root, a file of the user's, or a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.options import build_options
from latentreason.errors import DataError, MissingFileError, UserError, check_choice
from latentreason_eval.benchmark import Benchmark, BenchmarkSplit


@dataclass(frozen=True)
class LoadedSplit:
    """The examples of one split, and which rows were left out.

    Attributes:
        name: the split's name; "file" for a file of the user's.
        examples: what is scored, in file order.
        excluded: rows left out because the benchmark's file names them as defective.
        file: the file's path as it was read, None for generated ones.
        fingerprint: sha256 of the file, or the generator's words; the same in a resumed run.
    """

    name: str
    examples: Sequence[Example]
    excluded: int = 0
    file: str | None = None
    fingerprint: str = ""


def load_split(
    benchmark: Benchmark,
    split: str | None = None,
    *,
    data: str | None = None,
    root: str | None = None,
) -> LoadedSplit:
    """Read one split of a benchmark.

    Args:
        benchmark: which one.
        split: its name; None takes the default split.
        data: a file in the benchmark's own schema that is read instead.
        root: folder of the data files; None takes LATENTREASON_DATA, then the download cache.

    Raises:
        MissingFileError: the file is not there.
        DataError: a row cannot be read; the message names file and line.
        UserError: the split or an option is not known.
    """
    name, described = benchmark.split(split)
    if data is not None:
        if described.generator and not benchmark.reader:
            raise UserError(f"data: {benchmark.name} is generated and reads no files")
        path = Path(data)
        if not path.is_file():
            raise MissingFileError(f"data: {data} is not a file")
        if path.stat().st_size == 0:
            raise DataError(f"data: {data} is empty; it has no questions to score")
        examples = _read(benchmark, described, path, root)
        return LoadedSplit("file" if split is None else name, examples, 0, data, sha256_of(path))
    if described.generator:
        words = f"{described.generator} {described.size} {described.seed} {dict(described.options)}"
        return LoadedSplit(name, _generate(benchmark, described), fingerprint=words)
    found = find_file(described, root)
    if found is None:
        raise MissingFileError(
            f"data: {described.file} of {benchmark.name} is not at hand; set LATENTREASON_DATA to "
            f"the folder that holds it, fetch it with `latentreason data get {benchmark.name}`, or "
            "name a file with --data"
        )
    examples = _read(benchmark, described, found, root)
    kept = [example for example in examples if example.meta["id"] not in described.exclude]
    return LoadedSplit(name, kept, len(examples) - len(kept), str(found), sha256_of(found))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a whole file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def at_hand(described: BenchmarkSplit, root: str | None = None) -> bool:
    """Return whether a split can be read without a download."""
    return bool(described.generator) or find_file(described, root) is not None


def find_file(described: BenchmarkSplit, root: str | None = None) -> Path | None:
    """Return the path of a split's file, or None where it is not at hand."""
    from latentreason.data.files import find

    return find(str(described.file), root)


def _read(
    benchmark: Benchmark, described: BenchmarkSplit, path: Path, root: str | None
) -> list[Example]:
    from latentreason.data.readers import READERS as SHARED
    from latentreason_eval.readers import READERS

    name = described.reader or benchmark.reader or ""
    readers = {**SHARED, **READERS}
    check_choice(f"reader of {benchmark.name}", name, readers)
    reader = readers[name]
    # A generator's options mean nothing to the reader of a user's file.
    own = {} if described.generator else described.options
    options: Any = build_options(reader.options, {**benchmark.options, **own}, f'reader "{name}"')
    examples = list(reader.examples(path, options, root))
    if not examples:
        raise DataError(f"data: {path} is empty; it has no questions to score")
    rows: dict[str, int] = {}
    for row, example in enumerate(examples):
        if rows.setdefault(example.meta["id"], row) != row:
            raise DataError(f'data: {path}: two questions have the id "{example.meta["id"]}"')
    return examples


def _generate(benchmark: Benchmark, described: BenchmarkSplit) -> list[Example]:
    from latentreason.config import SplitConfig
    from latentreason.data import load_split as load

    options: dict[str, Any] = {**benchmark.options, **described.options}
    return list(
        load(
            SplitConfig(
                generator=described.generator,
                size=described.size,
                seed=described.seed,
                options=options,
            )
        )
    )
