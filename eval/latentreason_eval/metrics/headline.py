"""The headline figure of a benchmark, out of an evaluation's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METRICS = {
    "accuracy": "share of right samples",
    "pass": "pass@n over all n samples; the accuracy of a single one",
    "majority": "maj@n over all n samples; the accuracy of a single one",
    "distinct": "different right answers per question; the accuracy of a single one",
}


def headline(metric: str, row: Mapping[str, Any]) -> float:
    """Return the figure called `metric` of a row."""
    if metric == "accuracy" or "pass_at_k" not in row:
        return float(row["accuracy"])
    if metric == "distinct":
        return float(row["distinct"])
    by_k = row["pass_at_k"] if metric == "pass" else row["majority_at_k"]
    return float(by_k[max(by_k, key=int)])
