r"""Where in a model's output the answer may stand: the first half of an extraction chain.

A place returns the stretch of text that it finds and which end of it to read from, or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple


class Found(NamedTuple):
    """A stretch of text; `first` says that its first reading counts, otherwise its last does."""

    text: str
    first: bool


Place = Callable[[str], Found | None]

_CLOSING = re.compile(
    r"(?:\b(?:final\s+)?answer(?:\s+choice|\s+option)?\s*(?:is|are|:|=|would be|should be)"
    r"|\btherefore,?\s+the\s+(?:result|value)\s+is|\bcorrect\s+(?:option|choice)\s+is)[\s:*]*",
    re.IGNORECASE,
)
_HASHES = re.compile(r"#{2,}")


def boxed(text: str) -> Found | None:
    r"""The content of the last complete `\boxed{...}` (or `\fbox`), braces balanced."""
    for start in reversed([m.end() for m in re.finditer(r"\\f?boxed\s*\{", text)]):
        depth = 1
        for position in range(start, len(text)):
            character = text[position]
            if text[position - 1] == "\\":
                continue
            depth += (character == "{") - (character == "}")
            if depth == 0:
                return Found(text[start:position], first=False)
    return None


def hashes(text: str) -> Found | None:
    """What follows the last run of two or more `#`, to the end of its line.

    Markdown headings begin so too: text that goes on below counts only where the line is a figure
    or a single word ("#### 18", "#### yes"), not "### Step 2: add".
    """
    matches = list(_HASHES.finditer(text))
    if not matches:
        return None
    rest = text[matches[-1].end() :].strip()
    # "### answer" of Coconut's format is a heading where a chat model writes "### Answer\n18".
    lines = [line.strip() for line in rest.splitlines() if line.strip()]
    if lines and re.fullmatch(r"(?:final )?answer:?", lines[0], re.IGNORECASE):
        lines = lines[1:]
        return Found(lines[0], first=True) if lines else None
    if not lines or (len(lines) > 1 and not re.fullmatch(r"[-+$€£(\\.\d].*|\S+", lines[0])):
        return None
    return Found(lines[0], first=True)


def closing(text: str) -> Found | None:
    """What follows the last "the answer is", to the end of its line, or the next if that is all."""
    matches = list(_CLOSING.finditer(text))
    if not matches:
        return None
    rest = text[matches[-1].end() :].strip()
    return Found(rest.splitlines()[0].strip(), first=True) if rest else None


def answer_tag(text: str) -> Found | None:
    """The last `<answer>...</answer>`, as d1 and TinyZero ask for."""
    found = re.findall(r"<answer>(.*?)(?:</answer>|$)", text, re.DOTALL | re.IGNORECASE)
    return Found(found[-1].strip(), first=False) if found and found[-1].strip() else None


def last_line(text: str) -> Found | None:
    """The last line that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return Found(lines[-1], first=False) if lines else None


def everything(text: str) -> Found | None:
    """The whole text, read from its end."""
    return Found(text, first=False) if text.strip() else None


PLACES: dict[str, Place] = {
    "boxed": boxed,
    "hashes": hashes,
    "closing": closing,
    "answer_tag": answer_tag,
    "last_line": last_line,
    "everything": everything,
}
