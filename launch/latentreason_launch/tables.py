"""Plain tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

COLUMNS = ("label", "accuracy", "ci_low", "ci_high", "n", "tokens", "thoughts",
           "seconds_per_question")  # fmt: skip


def print_table(rows: Sequence[dict[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Print rows of one shape, numbers to the right."""
    if not rows:
        return
    columns = columns or list(rows[0])
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(c[i]) for c in [list(columns), *cells]) for i in range(len(columns))]
    print("  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)))
    for row in cells:
        line = [
            cell.rjust(width) if _is_number(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        ]
        print("  ".join(line).rstrip())


def evaluation_rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The table of one evaluation: main row, controls, sweep, shortcut baselines.

    With several samples a column for the vote over all of them.
    """
    rows = [summary, *summary["controls"], *summary["sweep"], *summary["baselines"]]
    found = [{column: row.get(column) for column in COLUMNS} for row in rows]
    for row in found[len(found) - len(summary["baselines"]) :]:
        row["label"] = f"baseline={row['label']}"
    if (k := summary.get("num_samples", 1)) > 1:
        found = [
            {**cells, f"vote_of_{k}": row.get("majority_at_k", {}).get(str(k))}
            for cells, row in zip(found, rows, strict=True)
        ]
    return found


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit()
