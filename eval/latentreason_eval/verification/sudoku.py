"""Sudoku: every row, column and box holds each digit once, and the given cells are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any


@dataclass(frozen=True)
class SudokuVerifier:
    """Checks the rules, not the gold grid: a puzzle with several solutions accepts each."""

    def correct(self, answer: str, gold: str, meta: Mapping[str, Any]) -> bool:
        """See `Verifier`; `meta["puzzle"]` has 0 for an empty cell."""
        puzzle = str(meta["puzzle"])
        if len(answer) != len(puzzle) or not answer.isdigit():
            return False
        kept = all(given in ("0", cell) for given, cell in zip(puzzle, answer, strict=True))
        return (
            kept
            and all(len(set(unit)) == len(unit) for unit in _units(answer))
            and (set(answer) <= {str(digit) for digit in range(1, isqrt(len(answer)) + 1)})
        )

    def key(self, answer: str) -> str:
        """See `Verifier`."""
        return answer


def _units(cells: str) -> list[str]:
    """Return rows, columns and boxes of a square grid given row by row."""
    size = isqrt(len(cells))
    box = isqrt(size)
    rows = [cells[row * size : (row + 1) * size] for row in range(size)]
    columns = ["".join(row[column] for row in rows) for column in range(size)]
    boxes = [
        "".join(rows[top + i][left + j] for i in range(box) for j in range(box))
        for top in range(0, size, box)
        for left in range(0, size, box)
    ]
    return rows + columns + boxes
