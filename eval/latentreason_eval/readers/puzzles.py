"""Puzzles that a verifier checks by rule: Game of 24 and Sudoku; the former's golds from a solver."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from latentreason.data.example import Example
from latentreason.data.options import NoOptions
from latentreason.data.readers.base import Reader
from latentreason.data.rows import fail, text_lines
from latentreason_eval.verification.solver import expression_for


@dataclass
class Game24Options:
    """Options of "game24".

    Attributes:
        first: first rank to read; the published test is 901 to 1000.
        last: last rank to read; null reads to the end.
    """

    first: int = 1
    last: int | None = None


def read_game24(path: Path, options: Game24Options) -> Iterator[Example]:
    """Yield Game of 24 questions "1 1 4 6"; the gold is an expression that a solver found."""
    for line, row in _csv_rows(path, ("Rank", "Puzzles")):
        if not row["Rank"].isdigit() or not re.fullmatch(r"\d+( \d+){3}", row["Puzzles"].strip()):
            fail(path, line, f'"{row["Rank"]},{row["Puzzles"]}" is not a rank and four numbers')
        rank = int(row["Rank"])
        if rank < options.first or (options.last is not None and rank > options.last):
            continue
        numbers = [int(part) for part in row["Puzzles"].split()]
        meta = {"id": row["Rank"], "numbers": numbers, "target": 24}
        yield Example(row["Puzzles"].strip(), (), expression_for(numbers, 24) or "", meta)


def read_sudoku(path: Path, options: NoOptions) -> Iterator[Example]:
    """Yield Sudokus: one line of digits, 0 for an empty cell; any square size."""
    for index, (line, row) in enumerate(_csv_rows(path, ("Puzzle", "Solution"))):
        puzzle, solution = row["Puzzle"].strip(), row["Solution"].strip()
        if not puzzle.isdigit() or not solution.isdigit() or len(puzzle) != len(solution):
            fail(path, line, "Puzzle and Solution have to be equally many digits")
        yield Example(puzzle, (), solution, {"id": str(index), "puzzle": puzzle})


def _csv_rows(path: Path, names: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    lines = list(text_lines(path))
    rows = csv.reader([text for _, text in lines])
    header = next(rows, [])
    for name in names:
        if name not in header:
            fail(path, 1, f'no column "{name}"; the file has: {", ".join(header) or "nothing"}')
    for (line, _), row in zip(lines[1:], rows, strict=False):
        if len(row) < len(header):
            fail(path, line, f"{len(row)} columns where the head has {len(header)}")
        yield line, dict(zip(header, row, strict=False))


GAME24 = Reader("game24", "Game of 24 csv: Rank, Puzzles", Game24Options, read_game24)
SUDOKU = Reader("sudoku", "Sudoku csv: Puzzle, Solution", NoOptions, read_sudoku)
