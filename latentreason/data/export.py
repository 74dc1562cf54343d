"""Writing examples in the JSON schema of the released ProsQA files, which all JSON readers take."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from latentreason.data.example import Example


def write_examples(examples: Iterable[Example], path: str | Path) -> None:
    """Write a JSON list of question, answer, steps and whatever `meta` holds besides.

    An id is written only where it is not the row's number, which readers give anyway; so examples
    load back equal and a released file keeps its schema. The file appears whole or not at all.

    Args:
        examples: what to write; `meta` has to be JSON.
        path: the file; it is replaced, and its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [_row(number, example) for number, example in enumerate(examples)]
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            # One row per line: errors in hand-edited files then name the row.
            file.write("[" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
            file.write("]\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _row(number: int, example: Example) -> dict[str, Any]:
    row: dict[str, Any] = {
        "question": example.question,
        "answer": example.answer,
        "steps": list(example.steps),
    }
    row |= {name: value for name, value in example.meta.items() if name != "id"}
    if example.meta.get("id", str(number)) != str(number):
        row["id"] = example.meta["id"]
    return row
