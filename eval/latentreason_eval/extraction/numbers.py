"""Numbers in running text: sign, thousands separators, decimals, fractions, LaTeX fractions.

The rules that the papers used miss the sign, read the denominator of a fraction, or take ".5" for
5; each of those is a row of the test table.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

# A model that repeats a digit for ever, or writes 1e999999999, has not written a number.
MAX_DIGITS = 1000
_UNSIGNED = r"(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)"
# A minus is a sign only where it cannot be the operator of "16-3" or the hyphen of "covid-19".
_SIGN = r"(?:(?<![\w)\]}.%])[-+](?!\s))?"
_NUMBER = re.compile(
    rf"(?P<sign>{_SIGN})(?:[$€£]\s?(?P<sign2>-)?)?"
    rf"(?:\\frac\{{(?P<n>-?{_UNSIGNED})\}}\{{(?P<d>{_UNSIGNED})\}}"
    rf"|(?:(?P<whole>\d+)\s+)?(?P<num>{_UNSIGNED})\s?/\s?(?P<den>\d[\d,]*(?:\.\d+)?)(?!\s?/|\d)"
    rf"|(?P<plain>{_UNSIGNED}))"
)


def tidy(text: str) -> str:
    """Return `text` with typographic minus signs and LaTeX spacing inside numbers made plain."""
    for dash in "−–‒‑":
        text = text.replace(dash, "-")
    text = text.replace("\\$", "$").replace("{,}", ",").replace("\\%", "%").replace("\\!", "")
    text = re.sub(r"(?<=\d)\\,(?=\d)", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    return re.sub(r"\\frac\s?(\d)\s?(\d)(?!\d)", r"\\frac{\1}{\2}", text)


def find_numbers(text: str) -> list[str]:
    """Return every number in `text`, in order, as "-1234.5" or "3/4", without separators."""
    return [_plain(match) for match in _NUMBER.finditer(tidy(text)) if match.group(0).strip()]


def _plain(match: re.Match[str]) -> str:
    sign = "-" if "-" in (match["sign"] or "") + (match["sign2"] or "") else ""
    if match["n"]:
        number = f"{match['n']}/{match['d']}"
    elif match["num"]:
        number = f"{match['num']}/{match['den']}"
        if match["whole"]:
            number = _mixed(match["whole"], number)
    else:
        number = match["plain"]
    return (sign + number).replace(",", "").replace("--", "")


def _mixed(whole: str, part: str) -> str:
    """One fraction for "1 1/2"; the part alone where that has no value."""
    try:
        value = to_fraction(whole) + to_fraction(part)
    except ValueError:
        return part
    return f"{value.numerator}/{value.denominator}"


def to_fraction(number: str) -> Fraction:
    """Return the exact value of a number as `find_numbers` writes it.

    Raises:
        ValueError: it is not a number, its denominator is 0, or it has over 1,000 digits.
    """
    number = number.strip().replace(",", "")
    top, slash, bottom = number.partition("/")
    try:
        value = _exact(top)
        return value / _exact(bottom) if slash else value
    except (ArithmeticError, OverflowError) as error:
        raise ValueError(f'"{number}" is not a number') from error


def _exact(number: str) -> Fraction:
    if len(number) > MAX_DIGITS:
        raise ValueError(f"{len(number)} characters are too many for a number")
    value = Decimal(number)
    if value.is_finite() and abs(value.adjusted()) > MAX_DIGITS:
        raise ValueError(f'"{number}" is out of range')
    return Fraction(value)


def canonical(number: str) -> str:
    """Return one spelling for equal numbers: "2.0" and "2" give "2"; others stay as they are."""
    try:
        value = to_fraction(number)
    except ValueError:
        return number.strip()
    return str(value.numerator) if value.denominator == 1 else str(value)
