"""Extraction chains: the hard cases of the papers' answer rules, one row each."""

from __future__ import annotations

import pytest

from latentreason.errors import UserError
from latentreason_eval.extraction.chain import Chain, default_chain
from latentreason_eval.extraction.numbers import find_numbers
from latentreason_eval.rules import named_rule
from latentreason_eval.verification.base import NumberVerifier

NUMBER = [
    ("She has 18 left.", "18"),
    ("#### 18", "18"),
    ("### 18", "18"),
    ("16-3-4=9, so 9*2=18\n#### 18", "18"),
    ("The answer is -3.", "-3"),
    ("The answer is −3 degrees", "-3"),
    ("It falls to -10", "-10"),
    ("16-3", "3"),
    ("16 - 3", "3"),
    ("x = -5", "-5"),
    ("(-5)", "-5"),
    ("$-7$", "-7"),
    ("-$5", "-5"),
    ("$-5", "-5"),
    ("The total is $1,234,567.89.", "1234567.89"),
    ("1{,}234", "1234"),
    ("costs \\$45", "45"),
    ("the list 2,3", "3"),
    ("about .5 miles", ".5"),
    ("0.75", "0.75"),
    ("3/4 of it", "3/4"),
    ("\\boxed{\\frac{3}{4}}", "3/4"),
    ("\\boxed{-\\frac{3}{4}}", "-3/4"),
    ("\\boxed{\\dfrac{1}{2}}", "1/2"),
    ("\\boxed{\\frac12}", "1/2"),
    ("1 1/2 cups", "3/2"),
    ("\\boxed{18\\%}", "18"),
    ("\\boxed{18 \\text{ dollars}}", "18"),
    ("\\boxed{\\boxed{7}}", "7"),
    ("\\boxed{18} is the answer, found in 3 steps", "18"),
    ("first \\boxed{3}, no, \\boxed{4}", "4"),
    ("The answer is 18. That took 3 minutes.", "18"),
    ("The answer is 12? No: the final answer is: **18**", "18"),
    ("Answer: 18 apples, 2 more than 16", "18"),
    ("#### 18 (of 20)", "18"),
    ("### Answer\n18", "18"),
    ("### Step 1: add 2\nso 18\n### Step 2\nThe answer is 18", "18"),
    ("### Step 2: done\nwe get **18**", "18"),
    ("#### 18\nQuestion: what is 3 + 4?", "18"),
    ("### 18 dollars", "18"),
    ("1e3", "1e3"),
    ("covid-19", "19"),
    ("no number here", None),
    ("", None),
    ("\\boxed{", None),
    ("cut off \\boxed{12", "12"),
]
OPTION = [
    ("(B)", "B"),
    ("B", "B"),
    ("b)", "B"),
    ("The answer is (C).", "C"),
    ("The answer is C because A is wrong", "C"),
    ("\\boxed{C} This is a nice one", "C"),
    ("\\boxed{\\text{C}}, since f = 3", "C"),
    ("Option D is right", "D"),
    ("So it is A", "A"),
    ("A man walks in. So (B)", "B"),
    ("**E**", "E"),
    ("the answer: E.", "E"),
    ("I think I know", None),
    ("#### 36", "C"),
    ("The answer is 36", "C"),
    ("nothing", None),
]
OPTIONS = ("24", "30", "36", "42", "48")
OTHER = [
    ("yes_no", "Yes, no doubt. The answer is yes.", "yes"),
    ("yes_no", "No. It knows, not.", "no"),
    ("yes_no", "I know nothing", None),
    ("yes_no", "So the answer is True", "yes"),
    ("true_false", "### False", "False"),
    ("true_false", "It is true that x is not. So false.", "False"),
    ("valid_invalid", "The argument is invalid.", "invalid"),
    ("valid_invalid", "this is not valid", "invalid"),
    ("text", "Sally is a scrompus.\n### Sally is a sterpus.", "Sally is a sterpus."),
    ("text", "Sally is a sterpus .", "Sally is a sterpus ."),
    ("text", "one\ntwo\n", "two"),
    ("digits", "5 6 3 2", "5632"),
    ("digits", "1 1 + 2 2 #### 5 5 6 0", "5560"),
    ("arithmetic", "I try 1+2=3.\n#### 30-7=23,23*1=23", "30-7=23,23*1=23"),
    ("arithmetic", "Then (1 + 1) × 4 × 3 = 24", "(1 + 1) * 4 * 3 = 24"),
    ("arithmetic", "no idea", None),
    ("grid", "3142 2431\n4213 1324", "3142243142131324"),
    ("grid", "| 3 1 4 2 |\n| 2 4 3 1 |\n| 4 2 1 3 |\n| 1 3 2 4 |", "3142243142131324"),
    ("formula", "so the area is $\\frac{1}{2}$ units", "$\\frac{1}{2}$"),
    ("formula", "\\boxed{\\{x | -2 \\le x < 1\\}}", "\\{x | -2 \\le x < 1\\}"),
    ("formula", "$6 \\pi$ and $\\sqrt{2}$", "$6 \\pi$ and $\\sqrt{2}$"),
]


@pytest.mark.parametrize(("output", "answer"), NUMBER)
def test_numbers(output, answer):
    assert default_chain("number")(output, {}) == answer


@pytest.mark.parametrize(("output", "answer"), OPTION)
def test_options(output, answer):
    assert default_chain("option")(output, {"options": OPTIONS}) == answer


@pytest.mark.parametrize(("kind", "output", "answer"), OTHER)
def test_other_kinds(kind, output, answer):
    assert default_chain(kind)(output, {}) == answer


def test_all_numbers_are_found_in_order():
    text = "From 1,000 to -2.5: 3/4, 7-2 and \\frac{1}{3}"
    assert find_numbers(text) == ["1000", "-2.5", "3/4", "7", "2", "1/3"]


@pytest.mark.parametrize(
    "output", ["7" * 5000, "1e5000", "1e999999999", f"{'7' * 5000} 1/2", "3 1/0"]
)
def test_numbers_without_end_are_wrong_and_do_no_harm(output):
    verifier = NumberVerifier()
    numbers = find_numbers(output)
    assert numbers
    for number in numbers:
        assert not verifier.correct(number, "18", {})
        assert verifier.key(number)


def test_an_answer_tag_is_a_place():
    chain = Chain("arithmetic", ("answer_tag", "everything"))
    assert chain("<answer> (1+2)*8 </answer> I checked 5*5=25", {}) == "(1+2)*8"


def test_the_first_place_that_has_an_answer_wins():
    text = "\\boxed{x} and 3\n#### 4"
    assert Chain("number", ("boxed", "hashes", "everything"))(text, {}) == "4"
    assert Chain("number", ("everything", "hashes"))("5 apples", {}) == "5"


def test_an_unknown_place_or_kind_is_named():
    with pytest.raises(UserError, match='did you mean "boxed"'):
        Chain("number", ("boxd",))
    with pytest.raises(UserError, match='answer: "numbr"'):
        Chain("numbr", ("boxed",))
    with pytest.raises(UserError, match='"softcot_v1" has no rule for answers of kind "formula"'):
        named_rule("softcot_v1", kind="formula")
