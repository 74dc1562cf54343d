"""Questions with few possible answers: BIG-Bench-Hard, BIG-bench, Logic-LLM.

Options stand in the question, one a line, as "(A) words"; the gold answer is the bare letter.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.aqua import with_options
from latentreason.data.readers.base import Reader, list_field, text_field
from latentreason.data.rows import fail, json_rows, read_text
from latentreason_eval.extraction.kinds import LETTERS

_OPTION = re.compile(r"^\(([A-Z])\)\s*(.*)$", re.MULTILINE)


def read_bbh(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield a BIG-Bench-Hard task: `input`, which holds the options, and `target`.

    A target "(B)" becomes "B"; other targets stay as they are, so that a defective one is seen.
    """
    for index, (line, row) in enumerate(_examples(path)):
        question = text_field(path, line, row, "input").strip()
        target = text_field(path, line, row, "target").strip()
        match = re.fullmatch(r"\(([A-Z])\)", target)
        meta: dict[str, Any] = {"id": str(index)}
        listed = _OPTION.findall(question.partition("Options:")[2])
        if listed:
            meta["options"] = [words.strip() for _, words in listed]
        yield Example(question, (), match[1] if match else target, meta)


def read_big_bench(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield a BIG-bench multiple-choice task: `input` and `target_scores`.

    The right option stands first in these files, so they are shuffled, seeded by the row.
    """
    for index, (line, row) in enumerate(_examples(path)):
        scores = row.get("target_scores")
        if not isinstance(scores, dict) or sum(value == 1 for value in scores.values()) != 1:
            fail(path, line, 'field "target_scores" has to give exactly one option the score 1')
        words = list(scores)
        random.Random(f"big_bench:{index}").shuffle(words)
        answer = next(
            letter for letter, option in zip(LETTERS, words, strict=False) if scores[option] == 1
        )
        question = with_options(text_field(path, line, row, "input").strip(), words)
        yield Example(question, (), answer, {"id": str(index), "options": words})


def read_logic_llm(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield Logic-LLM's ProntoQA: context, question, two options; the answer is True or False."""
    for index, (line, row) in enumerate(json_rows(path)):
        words = [
            option.partition(") ")[2] for option in list_field(path, line, row, "options", str)
        ]
        letter = text_field(path, line, row, "answer")
        if letter not in LETTERS[: len(words)] or not letter:
            fail(path, line, f'field "answer": "{letter}" is none of the {len(words)} options')
        parts = [text_field(path, line, row, name) for name in ("context", "question")]
        steps = list_field(path, line, row, "explanation", str) if "explanation" in row else []
        meta = {"id": str(row.get("id", index))}
        yield Example(" ".join(parts), tuple(steps), words[LETTERS.index(letter)], meta)


def _examples(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, row) of a file {"examples": [...]}; a bare list or jsonl is taken too."""
    text = read_text(path)
    if not text.lstrip().startswith("{") or '"examples"' not in text:
        yield from json_rows(path)
        return
    head = re.search(r'"examples"\s*:\s*\[', text)
    if head is None:
        fail(path, 1, 'expected {"examples": [...]}')
    position = head.end()
    while True:
        position = _next_value(text, position)
        line = 1 + text.count("\n", 0, position)
        if text[position : position + 1] == "]":
            return
        try:
            row, position = json.JSONDecoder().raw_decode(text, position)
        except json.JSONDecodeError as error:
            fail(path, error.lineno, f"not JSON: {error.msg}")
        if not isinstance(row, dict):
            fail(path, line, f"expected an object {{...}}, found {type(row).__name__}")
        yield line, row


def _next_value(text: str, position: int) -> int:
    """Return the position after blanks and commas."""
    while position < len(text) and text[position] in " \t\r\n,":
        position += 1
    return position


BBH = Reader("bbh", "BIG-Bench-Hard JSON: examples of input and target", NoOptions, read_bbh)
BIG_BENCH = Reader(
    "big_bench", "BIG-bench JSON: examples of input and target_scores", NoOptions, read_big_bench
)
LOGIC_LLM = Reader(
    "logic_llm", "Logic-LLM JSON: context, question, options, answer", NoOptions, read_logic_llm
)
