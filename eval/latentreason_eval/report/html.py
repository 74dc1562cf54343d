"""The HTML page: tables, inline SVG plots and a sample browser, in one file without network."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentreason_eval.record import EvalRecord
from latentreason_eval.report.table import Table
from latentreason_eval.report.template import BROWSER, SCRIPT, STYLE
from latentreason_eval.runs import Run, condition_folders

MAX_TEXT = 4000
Section = tuple[str, Sequence[tuple[str, str, Table]], Sequence[tuple[str, str]]]
"""(task, [(heading, remark, table)], [(plot name, caption)])"""


def page(
    title: str, sections: Sequence[Section], folder: Path, runs: Sequence[Run], questions: bool
) -> str:
    """Return the whole page.

    Args:
        title: the heading.
        sections: what the report says of each task.
        folder: where the SVG files of the plots lie.
        runs: whose samples the browser shows.
        questions: with questions, golds and outputs, or ids and verdicts only.
    """
    body = [f"<h1>{html.escape(title)}</h1>"]
    for task, tables, drawn in sections:
        body.append(f"<h2>{html.escape(task)}</h2>")
        for name, caption in drawn:
            svg = _inline((folder / f"{name}.svg").read_text(encoding="utf-8"), name)
            body.append(f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>")
        for heading, remark, table in tables:
            body.append(f"<h3>{html.escape(heading)}</h3>")
            if remark:
                body.append(f"<p>{html.escape(remark)}</p>")
            body.append(_table(table))
    # "</" inside a script would end it.
    samples = json.dumps(
        _samples(runs, questions), ensure_ascii=False, separators=(",", ":")
    ).replace("</", "<\\/")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>"
        f"{''.join(body)}{BROWSER}"
        f'<script type="application/json" id="samples">{samples}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _samples(runs: Sequence[Run], questions: bool) -> list[dict[str, Any]]:
    """Return one group per condition: run, condition, and columns over its samples.

    A column that is the same throughout is {"all": value}, one that an earlier group has too is
    {"same": that group}: so tens of thousands of samples stay small.
    """
    groups: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for run in runs:
        for folder in condition_folders(run.path):
            label = "" if folder == run.path else folder.name
            columns = {
                name: _packed(name, values, seen, len(groups))
                for name, values in _columns(run.records(label), questions).items()
            }
            groups.append({"run": run.label, "condition": label or "main", "columns": columns})
    return groups


def _columns(records: Sequence[EvalRecord], questions: bool) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "id": [record.id for record in records],
        "sample": [record.sample for record in records],
        "verdict": [verdict(record.correct, record.answer, record.error) for record in records],
        "thoughts": [record.num_thoughts for record in records],
        "tokens": [record.num_tokens for record in records],
    }
    if questions:
        columns |= {
            "question": [record.question[:MAX_TEXT] for record in records],
            "gold": [record.gold[:MAX_TEXT] for record in records],
            "answer": [record.answer for record in records],
            "text": [(record.error or record.text)[:MAX_TEXT] for record in records],
        }
    return columns


def _packed(name: str, values: list[Any], seen: dict[str, int], group: int) -> Any:
    if values and all(value == values[0] for value in values):
        return {"all": values[0], "count": len(values)}
    key = json.dumps([name, values])
    first = seen.setdefault(key, group)
    return values if first == group else {"same": first}


def verdict(correct: bool | None, answer: str | None, error: str | None) -> str:
    """Return "right", "wrong", "no answer" or "error"."""
    if error is not None or correct is None:
        return "error"
    if correct:
        return "right"
    return "no answer" if answer is None else "wrong"


def _table(table: Table) -> str:
    head, rows = table
    cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class=wide><table><tr>{cells}</tr>{lines}</table></div>"


def _inline(svg: str, name: str) -> str:
    """An SVG as an element of the page; ids get the plot's name, since a page has each once."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', svg)
    return re.sub(r"url\(#", f"url(#{name}-", svg)
