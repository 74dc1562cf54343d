"""The papers' legacy rules do what their codes do, failures included; ours does not fail so."""

from __future__ import annotations

import pytest

from latentreason_eval.rules import named_rule, rule_of_kind

# (rule, kind, output, gold, what the legacy rule says, what ours says)
CASES = [
    # Coconut compares strings: 18.0 is wrong for 18; only commas go.
    ("coconut", "number", "### 18", "18", True, True),
    ("coconut", "number", "### 1,800", "1800", True, True),
    ("coconut", "number", "### 18.0", "18", False, True),
    ("coconut", "number", "### $18", "18", False, True),
    ("coconut", "number", "### 18 dollars", "18", False, True),
    ("coconut", "text", "### Sally is a sterpus.", "Sally is a sterpus.", True, True),
    ("coconut", "text", "### Sally is a sterpus", "Sally is a sterpus.", False, True),
    # SoftCoT's number has no sign, takes denominators, reads ".5" as 5, and what comes last.
    ("softcot_v1", "number", "The answer is -10", "-10", False, True),
    ("softcot_v1", "number", "The answer is 10", "-10", False, False),
    ("softcot_v1", "number", "The answer is 3/4", "4", True, False),
    ("softcot_v1", "number", "about .5", "5", True, False),
    ("softcot_v1", "number", "The answer is 18", "18 dollars", False, True),
    ("softcot_v1", "number", "7" * 5000, "18", False, False),
    ("softcot_v1", "number", "\\boxed{18}, which took 3 steps", "18", False, True),
    ("softcot_v1", "number", "total 1,234.567", "1234.57", True, False),
    ("softcot_v1", "number", "\\$1,234", "1234", True, True),
    # Its option is the last stand-alone letter a to f: the article counts.
    ("softcot_v1", "option", "\\boxed{C} This is a nice one", "C", False, True),
    ("softcot_v1", "option", "\\boxed{C} since f = 3", "C", False, True),
    ("softcot_v1", "option", "the answer is B", "B", True, True),
    ("softcot_v1", "yes_no", "no, yes", "yes", True, True),
    ("softcot_v1", "yes_no", "The answer is yes; there is no doubt", "yes", False, True),
    # CODI reads the minus of a subtraction as a sign.
    ("codi", "number", "that leaves 16-3", "3", False, True),
    ("codi", "number", "-3", "-3", True, True),
    ("codi", "number", "18.0", "18", True, True),
    ("codi", "number", "half, 1/2", "1/2", False, True),
]


@pytest.mark.parametrize(("name", "kind", "output", "gold", "legacy", "ours"), CASES)
def test_known_cases(name, kind, output, gold, legacy, ours):
    assert named_rule(name, kind=kind).judge(output, gold, {}).correct is legacy
    assert rule_of_kind(kind).judge(output, gold, {}).correct is ours


REACH = {"numbers": [30, 100, 93], "target": 23}


@pytest.mark.parametrize(
    ("name", "output", "legacy", "ours"),
    [
        # MGDM's metric looks at equations and the last result, not at the use of numbers.
        ("mgdm_countdown", "100-93=7,30-7=23", True, True),
        ("mgdm_countdown", "20+3=23", True, False),
        ("mgdm_countdown", "100-93=8,30-8=22", False, False),
        # d1 takes one expression over exactly the numbers.
        ("d1_countdown", "<answer>30-(100-93)</answer>", True, True),
        ("d1_countdown", "<answer>30-100+93</answer>", True, True),
        ("d1_countdown", "<answer>30-7</answer>", False, False),
        ("d1_countdown", "100-93=7,30-7=23", False, True),
    ],
)
def test_countdown_rules(name, output, legacy, ours):
    assert named_rule(name).judge(output, "", REACH).correct is legacy
    assert rule_of_kind("arithmetic").judge(output, "", REACH).correct is ours


def test_softcot_lets_no_answer_vote():
    assert named_rule("softcot_v1", kind="number").none_votes
    assert not rule_of_kind("number").none_votes
