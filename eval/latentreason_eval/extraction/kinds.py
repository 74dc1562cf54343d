"""What an answer looks like: the second half of an extraction chain.

Each kind reads one answer out of a stretch of text, from its first or its last occurrence, and
writes it in the form in which the verifiers compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from latentreason_eval.extraction.numbers import find_numbers
from latentreason_eval.extraction.places import Found
from latentreason_eval.verification.expression import ascii_operators

Kind = Callable[[Found, Mapping[str, Any]], str | None]
"""(found, what the example knows besides) -> answer, or None where the stretch holds none."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def number(found: Found, meta: Mapping[str, Any]) -> str | None:
    """The first or last number."""
    numbers = find_numbers(found.text)
    return (numbers[0] if found.first else numbers[-1]) if numbers else None


def digits(found: Found, meta: Mapping[str, Any]) -> str | None:
    """One number whose digits may stand apart, "5 6 3 2", as iCoT's multiplication writes them."""
    runs = re.findall(r"-?\d(?:[ ,]?\d)*", found.text)
    return re.sub(r"\D", "", runs[0] if found.first else runs[-1]) if runs else None


def text(found: Found, meta: Mapping[str, Any]) -> str | None:
    """The text itself, blanks collapsed, without emphasis marks."""
    plain = " ".join(found.text.replace("**", " ").split())
    return plain or None


def option(found: Found, meta: Mapping[str, Any]) -> str | None:
    """An option letter; a bracketed one wins over a bare one, an option's own words come last.

    Knows the letters in use from `meta["options"]`, so that "I" is not an option of a five-way
    question, and does not take the article "A" before a word for an answer.
    """
    options = meta.get("options") or ()
    # Without a list of options, "I" is taken for the pronoun.
    letters = LETTERS[: max(2, len(options))] if options else "ABCDEFGHJK"
    content = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}", r"\1", found.text)
    content = content.replace("**", " ").strip()
    either = letters + letters.lower()
    if re.fullmatch(rf"[({{\[]?[{either}][)}}\].:]?", content):
        return content.strip("(){}[].: ").upper()
    patterns = (
        rf"[(\[{{]([{either}])[)\]}}]",
        rf"\b(?:option|choice)\s+([{letters}])\b",
        rf"(?<![\w'’])([{letters}])(?:[).:,](?=\s|$)|$)",
        rf"(?<![\w'’])([{letters.replace('A', '')}]|A(?!\s+[a-z]))(?![\w'’])",
    )
    for pattern in patterns:
        hits = re.findall(pattern, content)
        if hits:
            return str(hits[0] if found.first else hits[-1]).upper()
    return _by_content(content, options, letters)


def _by_content(content: str, options: Any, letters: str) -> str | None:
    plain = content.strip(" .$").casefold()
    hits = [
        letter
        for letter, words in zip(letters, options, strict=False)
        if str(words).strip(" .$").casefold() == plain
    ]
    return hits[0] if len(hits) == 1 else None


def formula(found: Found, meta: Mapping[str, Any]) -> str | None:
    """A formula; where the example says that its answer is an option, true/false or words, that."""
    kinds = {"option": option, "bool": KINDS["true_false"], "words": text}
    delegate = kinds.get(meta.get("answer_type", ""))
    if delegate is not None:
        return delegate(found, meta)
    content = found.text.replace("**", " ").strip()
    if is_prose(content):
        pieces = _FORMULA.findall(content)
        return str(pieces[0] if found.first else pieces[-1])
    return content.rstrip(".").strip() or None


_FORMULA = re.compile(r"\$[^$]+\$|\\\(.+?\\\)")


def is_prose(content: str) -> bool:
    """Return whether formulas stand in a sentence, "the area is $2$"; "$1$ and $2$" is none."""
    rest = _FORMULA.sub(" ", content)
    return rest != content and bool(re.search(r"(?!and\b|or\b)\b[A-Za-z]{3,}", rest))


def arithmetic(found: Found, meta: Mapping[str, Any]) -> str | None:
    """A chain of steps "a-b=c,c*d=e" or one expression: the last stretch that looks like either."""
    content = re.sub(r"(?<=\d)\s*\n\s*(?=[\d(])", ",", ascii_operators(found.text))
    runs = [run.strip(" ,;.=") for run in re.findall(r"[\d(][\d+\-*/()=,;.\s]*", content)]
    runs = [run for run in runs if re.search(r"\d\s*[-+*/]\s*[\d(]", run)]
    return (runs[0] if found.first else runs[-1]) if runs else None


def grid(found: Found, meta: Mapping[str, Any]) -> str | None:
    """As many digits as the puzzle has cells, whatever stands between them; the last ones count."""
    size = len(str(meta.get("puzzle", ""))) or 16
    runs = re.findall(r"\d(?:[\s|,+\-]*\d)*", found.text)
    runs = [re.sub(r"\D", "", run) for run in runs]
    runs = [run for run in runs if len(run) >= size]
    return runs[-1][-size:] if runs else None


def choice(words: Mapping[str, tuple[str, ...]]) -> Kind:
    """Return the kind "one of these words", each with its synonyms; longer ones are tried first."""
    spelling = {
        alias.casefold(): name for name, aliases in words.items() for alias in (name, *aliases)
    }
    pattern = re.compile(
        r"\b(?:" + "|".join(re.escape(w) for w in sorted(spelling, key=len, reverse=True)) + r")\b",
        re.IGNORECASE,
    )

    def read(found: Found, meta: Mapping[str, Any]) -> str | None:
        hits = pattern.findall(" ".join(found.text.split()))
        return spelling[(hits[0] if found.first else hits[-1]).casefold()] if hits else None

    return read


KINDS: dict[str, Kind] = {
    "number": number,
    "digits": digits,
    "text": text,
    "option": option,
    "yes_no": choice({"yes": ("true",), "no": ("false",)}),
    "true_false": choice({"True": ("yes",), "False": ("no",)}),
    "formula": formula,
    "arithmetic": arithmetic,
    "grid": grid,
    "valid_invalid": choice({"valid": (), "invalid": ("not valid",)}),
}
