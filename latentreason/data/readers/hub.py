"""Any data set that the `datasets` library reads: hub name, saved directory or local file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.readers.base import Reader, list_field, text_field
from latentreason.data.rows import fail
from latentreason.errors import DataError, MissingFileError, UserError, check_choice

BUILDERS = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}


@dataclass
class DatasetsOptions:
    """Options of "datasets".

    Attributes:
        config: name of the configuration, where a data set has several.
        split: the split to read.
        revision: hub revision; name one for results that others are to repeat.
        data_dir: folder inside the data set to read from.
        question: field with the question.
        steps: field with the steps, a list or one text; null where there are none.
        separator: where a text of steps is cut; null takes the text as one step.
        answer: field with the answer.
        id: field with a unique id; null numbers the rows.
    """

    config: str | None = None
    split: str = "train"
    revision: str | None = None
    data_dir: str | None = None
    question: str = "question"
    steps: str | None = None
    separator: str | None = "\n"
    answer: str = "answer"
    id: str | None = None


def read_datasets(source: Path, options: DatasetsOptions) -> Iterator[Example]:
    """Yield the examples of a data set; errors name it and the row, counted from 0.

    Raises:
        UserError: the data set, its configuration or its split cannot be loaded.
        DataError: a row lacks a named field, or a field is of another type.
    """
    for number, row in enumerate(_load(source, options)):
        yield Example(
            question=text_field(source, number, row, options.question),
            steps=_steps(source, number, row, options),
            answer=text_field(source, number, row, options.answer),
            meta={"id": _id(source, number, row, options)},
        )


def _id(source: Path, number: int, row: dict[str, Any], options: DatasetsOptions) -> str:
    return str(number) if options.id is None else text_field(source, number, row, options.id)


def _steps(
    source: Path, number: int, row: dict[str, Any], options: DatasetsOptions
) -> tuple[str, ...]:
    if options.steps is None:
        return ()
    if isinstance(row.get(options.steps), list):
        return tuple(list_field(source, number, row, options.steps, str))
    text = text_field(source, number, row, options.steps)
    parts = text.split(options.separator) if options.separator else [text]
    return tuple(part.strip() for part in parts if part.strip())


def _load(source: Path, options: DatasetsOptions) -> Any:
    from datasets import DatasetDict, load_from_disk

    if (source / "dataset_dict.json").is_file() or (source / "state.json").is_file():
        for name in ("config", "revision", "data_dir"):
            if getattr(options, name) is not None:
                raise UserError(
                    f'options of reader "datasets": {name}: {getattr(options, name)!r} would be '
                    f"ignored, since {source} is a saved data set; drop it"
                )
        data = load_from_disk(str(source))
        if not isinstance(data, DatasetDict):
            return data
        check_choice(f'options of reader "datasets": split ({source})', options.split, data)
        return data[options.split]
    return _load_by_name(source, options)


def _load_by_name(source: Path, options: DatasetsOptions) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    name, files = str(source), None
    if source.is_file():
        if source.suffix not in BUILDERS:
            fail(source, 1, f"datasets reads files that end in {', '.join(BUILDERS)} here")
        name, files = BUILDERS[source.suffix], {options.split: str(source)}
    try:
        return load_dataset(
            name,
            options.config,
            split=options.split,
            revision=options.revision,
            data_dir=options.data_dir,
            data_files=files,
        )
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError) as error:
        raise MissingFileError(
            f'reader "datasets": {source}: no such hub data set or folder, or the hub cannot be '
            f"reached ({_first_line(error)})"
        ) from error
    except DatasetsError as error:
        reason = _first_line(error.__cause__ or error)
        raise DataError(f'reader "datasets": {source}: cannot be read: {reason}') from error
    except ValueError as error:
        raise UserError(
            f'reader "datasets": {source}: cannot load config {options.config!r}, split '
            f'"{options.split}": {_first_line(error)}'
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


DATASETS = Reader(
    name="datasets",
    summary="any Hugging Face data set: hub name, saved directory or local file, fields by option",
    options=DatasetsOptions,
    read=read_datasets,
    hub=True,
)
