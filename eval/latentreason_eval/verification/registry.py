"""Verifiers by the names that benchmark files use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from latentreason.errors import UserError, check_choice
from latentreason_eval.verification.arithmetic import ReachVerifier
from latentreason_eval.verification.base import (
    DigitsVerifier,
    ExactVerifier,
    NumberVerifier,
    TextVerifier,
    Verifier,
)
from latentreason_eval.verification.formula import FormulaVerifier
from latentreason_eval.verification.sudoku import SudokuVerifier

VERIFIERS: dict[str, Callable[..., Verifier]] = {
    "text": TextVerifier,
    "exact": ExactVerifier,
    "number": NumberVerifier,
    "digits": DigitsVerifier,
    "formula": FormulaVerifier,
    "reach": ReachVerifier,
    "sudoku": SudokuVerifier,
}


def build_verifier(name: str, options: Mapping[str, Any] | None = None) -> Verifier:
    """Return the verifier called `name`.

    Raises:
        UserError: no verifier has this name, or it does not take these options.
    """
    check_choice("verify", name, VERIFIERS)
    try:
        return VERIFIERS[name](**(options or {}))
    except TypeError as error:
        raise UserError(f'verify: "{name}" does not take {dict(options or {})}: {error}') from error
