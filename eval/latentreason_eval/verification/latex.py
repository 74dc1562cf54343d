"""Formulas as text: one spelling, and the cutting of an answer into its parts."""

from __future__ import annotations

import re

_DROP = re.compile(
    r"\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?|displaystyle|limits|!|,|;|:|quad|qquad|ldots)(?![a-zA-Z])"
    r"|\\ |~"
)
_UNIT = re.compile(
    r"(?<=[\d})])\s*(?:\\?%|\^\s*\{?\s*\\circ\s*\}?|°|(?:cm|mm|km|kg|km/h|minutes?|min|hours?|degrees?"
    r"|dollars?|meters?)(?:\s*\^\s*\{?\d\}?)?)$"
)
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def normal(text: str) -> str:
    """Return one spelling of a formula: without math marks, spacing, text commands and units."""
    text = text.strip().strip("$").strip().rstrip(".").strip()
    text = re.sub(r"\\(?:text|mathrm|textbf|mathbf|mbox|operatorname)\s*\{([^{}]*)\}", r"\1", text)
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\$", "")
    text = text.replace("\\leqslant", "\\le").replace("\\geqslant", "\\ge")
    text = re.sub(r"\\(le|ge)q\b", r"\\\1", text).replace("−", "-").replace("{,}", "")
    text = _DROP.sub("", text).replace("$", "")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))(?<!\d{4},)", "", text) if _is_grouped(text) else text
    text = _UNIT.sub("", text.strip())
    # "12 3 0" is a list of three numbers, not the number 1230.
    text = re.sub(r"(?<=\d)\s+(?=-?\d)", ",", text)
    text = re.sub(r"\s+", "", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    return re.sub(r"\\sqrt(\d)", r"\\sqrt{\1}", text)


def _is_grouped(text: str) -> bool:
    """Whether the text is one number with thousands separators, "35,000", and no list."""
    return (
        re.fullmatch(r"\s*[-+$€£]*\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?\s*[^\d,()\[\]]*", text)
        is not None
    )


def parts(text: str) -> list[str]:
    """Cut an answer at "and", "or", semicolons and commas outside brackets; labels "(1)." go."""
    text = re.sub(r"(?:^|(?<=[\s;,]))\(\d\)[.\s]", " ; ", text)
    text = re.sub(r"\s(?:and|or)\s|\\text\s*\{\s*(?:and|or)\s*\}", " ; ", text)
    pieces, depth, current = [], 0, ""
    previous = ""
    for character in normal_spacing(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth = max(0, depth - 1)
        if character in ",;" and depth == 0 and previous != "\\":
            pieces.append(current)
            current = ""
        else:
            current += character
        previous = character
    cut = [normal(piece) for piece in [*pieces, current]]
    return [piece for piece in cut if piece]


def normal_spacing(text: str) -> str:
    """Return `text` with LaTeX spacing commands and grouping commas gone, so that commas cut."""
    text = re.sub(r"\\[,;:!](?!\w)|\\(?:quad|qquad)", " ", text).replace("{,}", "")
    if _is_grouped(text.strip().strip("$")):
        text = text.replace(",", "")
    return re.sub(r"(?<=\d)\s+(?=-?\d)", ",", text)


def inside(text: str) -> tuple[str, str, str] | None:
    """Return (opening, content, closing) where one pair of brackets encloses the whole text."""
    plain = text.replace("\\{", "{").replace("\\}", "}")
    if len(plain) < 2 or plain[0] not in "([{" or plain[-1] not in ")]}":
        return None
    depth = 0
    for position, character in enumerate(plain):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and position < len(plain) - 1:
            return None
    return plain[0], plain[1:-1], plain[-1]
