"""The answer rules of the papers' released codes, faults included, to compare with their numbers.

Each is a pair of functions: output -> answer, and (answer, gold) -> right. Their known failures are
rows of the test table; none of them is a benchmark's own rule.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from latentreason_eval.verification.expression import (
    ExpressionError,
    evaluate,
    parse_steps,
    plain_arithmetic,
)

Meta = Mapping[str, Any]


@dataclass(frozen=True)
class LegacyRule:
    """One released rule for one kind of answer; it is extractor and verifier at once.

    Attributes:
        source: the released code that it follows.
        extract: output -> answer or None.
        equal: (answer, gold, meta) -> right.
        none_votes: "no answer" takes part in a majority vote, as one voter at most.
    """

    source: str
    extract: Callable[[str], str | None]
    equal: Callable[[str, str, Meta], bool]
    none_votes: bool = False

    def __call__(self, output: str, meta: Meta) -> str | None:
        """Return the answer in a model's output."""
        return self.extract(output)

    def correct(self, answer: str, gold: str, meta: Meta) -> bool:
        """See `Verifier`."""
        return self.equal(answer, gold, meta)

    def key(self, answer: str) -> str:
        """See `Verifier`."""
        return answer


def _coconut(output: str) -> str | None:
    """Text after the last `#`, commas removed; the whole text where there is none."""
    return output.split("#")[-1].replace(",", "").strip()


def _coconut_equal(answer: str, gold: str, meta: Meta) -> bool:
    return answer == gold.replace(",", "").strip()


def _softcot_number(output: str) -> str | None:
    """The last run of digits, its sign and a leading "." lost, rounded to two decimals.

    Where Python cannot read it (thousands of digits) the released rule stops; here it is no answer.
    """
    text = re.sub(r"[,%$]", "", output)
    found = re.findall(r"\s*([\d,]+(?:\.\d+)?)\s*", text)
    if not found:
        return None
    try:
        return str(round(float(found[-1]), 2)) if "." in found[-1] else str(int(found[-1]))
    except ValueError:
        return None


def _softcot_number_equal(answer: str, gold: str, meta: Meta) -> bool:
    plain = gold.replace(",", "")
    try:
        return float(answer) == (float(plain) if "." in plain else int(plain))
    except ValueError:
        return False


def _softcot_option(output: str) -> str | None:
    """The last stand-alone letter a to f of the lower-cased text: the article "a" counts."""
    found = re.search(r"\b[a-f]\b", output.lower()[::-1])
    return found.group(0).upper() if found else None


def _softcot_yes_no(output: str) -> str | None:
    """Whichever of the whole words yes and no comes last."""
    found = re.findall(r"\b(yes|no)\b", output.lower())
    return found[-1] if found else None


def _folded(answer: str, gold: str, meta: Meta) -> bool:
    return answer.casefold() == gold.casefold()


def _codi(output: str) -> str | None:
    """The last number after commas are dropped; the minus of "16-3" becomes a sign."""
    found = re.findall(r"-?\d+\.?\d*", output.replace(",", ""))
    return found[-1] if found else None


def _float_equal(answer: str, gold: str, meta: Meta) -> bool:
    try:
        return float(answer) == float(gold.replace(",", ""))
    except ValueError:
        return False


def _last_line(output: str) -> str | None:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1].rpartition("#")[2].strip() if lines else None


def _mgdm_equal(answer: str, gold: str, meta: Meta) -> bool:
    """Every equation is right and the last result is the target; number use is not looked at."""
    steps = parse_steps(answer)
    if not steps or steps[-1][3] != int(meta["target"]):
        return False
    return all(_holds(*step) for step in steps)


def _holds(first: int, sign: str, second: int, result: int) -> bool:
    if sign == "/":
        return second != 0 and first / second == result
    return {"+": first + second, "-": first - second, "*": first * second}[sign] == result


def _answer_tag(output: str) -> str | None:
    found = re.findall(r"<answer>(.*?)</answer>", output, re.DOTALL)
    return found[-1].strip() if found else _last_line(output)


def _d1_equal(answer: str, gold: str, meta: Meta) -> bool:
    """One expression over exactly the given numbers, its value within 1e-5 of the target."""
    expression = plain_arithmetic(answer).partition("=")[0]
    try:
        value, _ = evaluate(expression)
    except ExpressionError:
        return False
    used = Counter(int(n) for n in re.findall(r"\d+", expression))
    wanted = Counter(int(n) for n in meta["numbers"])
    return used == wanted and abs(float(value) - int(meta["target"])) < 1e-5


_COCONUT = LegacyRule("facebookresearch/coconut run.py", _coconut, _coconut_equal)
_SOFTCOT = "xuyige/SoftCoT evaluate_softcotpp.py"
_SOFTCOT_OPTION = LegacyRule(_SOFTCOT, _softcot_option, _folded, none_votes=True)
_SOFTCOT_YES_NO = LegacyRule(_SOFTCOT, _softcot_yes_no, _folded, none_votes=True)
_SOFTCOT_NUMBER = LegacyRule(_SOFTCOT, _softcot_number, _softcot_number_equal, none_votes=True)

LEGACY: dict[str, dict[str, LegacyRule]] = {
    "coconut": dict.fromkeys(("text", "number", "true_false"), _COCONUT),
    "softcot_v1": {
        "number": _SOFTCOT_NUMBER,
        "option": _SOFTCOT_OPTION,
        "yes_no": _SOFTCOT_YES_NO,
    },
    "codi": {"number": LegacyRule("zhenyi4/codi test.py", _codi, _float_equal)},
    "mgdm_countdown": {"arithmetic": LegacyRule("HKUNLP/diffusion-vs-ar", _last_line, _mgdm_equal)},
    "d1_countdown": {"arithmetic": LegacyRule("dllm-reasoning/d1", _answer_tag, _d1_equal)},
}
"""Legacy rules by name, and by the kind of answer that they were written for."""
