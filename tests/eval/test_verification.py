"""Verifiers: what counts as right, and what must not."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from latentreason.data.generators.countdown import solve
from latentreason.errors import UserError
from latentreason_eval.verification.arithmetic import ReachVerifier
from latentreason_eval.verification.base import DigitsVerifier, NumberVerifier, TextVerifier
from latentreason_eval.verification.expression import evaluate
from latentreason_eval.verification.formula import FormulaVerifier
from latentreason_eval.verification.registry import build_verifier
from latentreason_eval.verification.solver import expression_for
from latentreason_eval.verification.sudoku import SudokuVerifier

META = {"numbers": [30, 100, 93], "target": 23}


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ("100-93=7,30-7=23", True),
        ("100 - 93 = 7, 30 - 7 = 23", True),
        ("30-(100-93)", True),
        ("30 - (100 - 93) = 23", True),
        ("23 = 30-(100-93)", True),
        ("30-100+93", True),
        ("100-93=7", False),  # 30 is left over
        ("93-100=-7,30+-7=23", False),  # a negative difference
        ("30-7=23", False),  # 7 was not given
        ("100-93=7,30-7=24", False),  # wrong arithmetic
        ("20+3", False),
        ("100-93=7,100-93=7,30-7=23", False),  # 100 is used twice
        ("23", False),
        ("__import__('os')", False),
        ("30**1-(100-93)", False),
        ("1" * 500, False),
    ],
)
def test_countdown_checks_arithmetic_number_use_and_target(answer, correct):
    assert ReachVerifier().correct(answer, "", META) is correct


def test_division_has_no_remainder_in_steps_and_may_have_one_in_expressions():
    meta = {"numbers": [3, 3, 8, 8], "target": 24}
    assert ReachVerifier().correct("8/(3-8/3)", "", meta)
    assert not ReachVerifier().correct("8/3=2,3-2=1,8/1=8,8*3=24", "", meta)
    assert ReachVerifier().correct("8/4=2,2*3=6", "", {"numbers": [8, 4, 3], "target": 6})


def test_equal_numbers_may_be_used_as_often_as_given():
    meta = {"numbers": [4, 4], "target": 16}
    assert ReachVerifier().correct("4*4=16", "", meta)
    assert not ReachVerifier().correct("4*4=16", "", {"numbers": [4], "target": 16})


def test_different_ways_to_write_one_solution_have_one_key():
    key = ReachVerifier().key
    assert key("30-(100-93)") == key("100-93=7,30-7=23") == key("30 - (100-93) = 23")
    assert key("2*3+4") == key("4+3*2")
    assert key("30-(100-93)") != key("30-100+93")


def test_solver_and_verifier_agree_on_random_games():
    rng = random.Random(0)
    solved = 0
    for _ in range(60):
        numbers = [rng.randint(1, 13) for _ in range(4)]
        expression = expression_for(numbers, 24)
        if expression is not None:
            solved += 1
            assert evaluate(expression)[0] == Fraction(24)
            assert ReachVerifier().correct(expression, "", {"numbers": numbers, "target": 24})
        steps = solve(numbers, 24)
        if steps is not None:
            assert expression is not None
            assert ReachVerifier().correct(",".join(steps), "", {"numbers": numbers, "target": 24})
    assert 30 < solved < 60


def test_games_without_solution_have_none():
    assert expression_for([1, 1, 1, 1], 24) is None
    assert expression_for([3, 3, 8, 8], 24) is not None


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ("3142243142131324", True),
        ("3142243142131323", False),  # breaks the rules
        ("4132243142131324", False),  # a given cell is changed
        ("1234341221434321", False),  # a valid grid of another puzzle
        ("314224314213132", False),
        ("0000000000000000", False),
        ("", False),
    ],
)
def test_sudoku(answer, correct):
    meta = {"puzzle": "3102200002100320"}
    assert SudokuVerifier().correct(answer, "", meta) is correct


def test_a_sudoku_with_several_solutions_accepts_each():
    meta = {"puzzle": "0" * 16}
    for grid in ("1234341221434321", "3142243142131324"):
        assert SudokuVerifier().correct(grid, "1234341221434321", meta)


@pytest.mark.parametrize(
    ("answer", "gold", "correct"),
    [
        ("18.0", "18", True),
        ("36/2", "18", True),
        ("1,800", "1800", True),
        ("-10", "10", False),
        ("0.333", "1/3", False),
        ("1/0", "1", False),
        ("eighteen", "18", False),
        ("18", "$18", True),
        ("18", "18 dollars", True),
        ("5", "5%", True),
        ("-5", "−5", True),
        ("1.5", "1 1/2", True),
        ("3", "3 or 4", False),
        ("18", "eighteen", False),
    ],
)
def test_numbers_compare_by_value(answer, gold, correct):
    assert NumberVerifier().correct(answer, gold, {}) is correct


def test_a_tolerance_is_absolute_and_inclusive_of_rounded_golds():
    verifier = NumberVerifier(tolerance=0.001)
    assert verifier.correct("2/3", "0.6666666667", {})
    assert not verifier.correct("0.668", "0.6666666667", {})


@pytest.mark.parametrize(
    ("answer", "gold", "correct"),
    [
        ("$\\frac{1}{2}$", "0.5", True),
        ("\\frac12", "\\frac{1}{2}", True),
        ("\\dfrac{\\sqrt{30}}{2}", "$\\frac{\\sqrt{30}}{2}$", True),
        ("\\frac{2}{\\sqrt{2}}", "\\sqrt{2}", True),
        ("(x+1)^2", "x^2+2x+1", True),
        ("2\\pi", "6.28", False),
        ("35,000", "$35000$", True),
        ("$22.1cm^{2}$", "22.1", True),
        ("5.3\\%", "5.3", True),
        ("x = 5", "5", True),
        ("[3,5]", "[5,3]", False),
        ("\\{1,4\\}", "\\{4,1\\}", True),
        ("(1,2)", "(2,1)", False),
        ("(1,2]", "(1,2)", False),
        ("12 3 0", "12 3 0", True),
        ("1230", "12 3 0", False),
        ("3 12 0", "12 3 0", True),
        ("$1$ and $2$", "$2$ and $1$", True),
        ("$2$", "$1$ and $2$", False),
        ("$1$ and $2$", "$2$", False),
        ("0,-1,-\\frac{3}{2}", "$0,-1,-1.5$", True),
        ("-20*x", "-20x", True),
        ("-20*x", "20*x", False),
        ("x \\leqslant 8", "x \\le 8", True),
        ("3", "4", False),
    ],
)
def test_formulas(answer, gold, correct):
    assert FormulaVerifier().correct(answer, gold, {}) is correct


def test_formula_meta_changes_the_comparison():
    verifier = FormulaVerifier()
    assert verifier.correct("1.45", "1.42", {"relative_tolerance": 0.04})
    assert not verifier.correct("1.5", "1.42", {"relative_tolerance": 0.04})
    assert not verifier.correct("3 12 0", "12 3 0", {"ordered": True})
    assert verifier.correct("c", "C", {"answer_type": "option"})
    assert not verifier.correct("D", "C", {"answer_type": "option"})


def test_text_ignores_what_a_tokenizer_puts_in():
    verifier = TextVerifier()
    assert verifier.correct("sally is  a sterpus .", "Sally is a sterpus.", {})
    assert not verifier.correct("Sally is a zumpus.", "Sally is a sterpus.", {})


def test_digits_keep_their_zeros():
    verifier = DigitsVerifier()
    assert verifier.correct("5 5 6 0", "5560", {})
    assert not verifier.correct("556", "5 5 6 0", {})


def test_unknown_verifiers_and_options_are_named():
    with pytest.raises(UserError, match='did you mean "number"'):
        build_verifier("numbr")
    with pytest.raises(UserError, match="tolerance"):
        build_verifier("text", {"tolerance": 1})
