"""What holds for every generator, and the small ones in detail."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from itertools import permutations

import pytest

from latentreason.config import SplitConfig
from latentreason.data import GENERATORS, Example, load_split, read_examples
from latentreason.data.generators.countdown import TEST_TARGETS, solve
from latentreason.data.generators.multiplication import multiplication_example
from latentreason.errors import UserError

# sha256 of the first 20 examples at seed 0, the same on every machine: runs can be repeated.
GOLDEN = {
    "prosqa": "436193896e68bc9b",
    "prontoqa": "1b5809cc38c68332",
    "state_tracking": "67d39ba25cc105ae",
    "arithmetic": "8ff0d2988660d681",
    "multiplication": "6f77d0f500195209",
    "countdown": "f7dfaa648ef95461",
}


def generate(name: str, size: int = 200, seed: int = 0, **options) -> list[Example]:
    return load_split(SplitConfig(generator=name, size=size, seed=seed, options=options))


@pytest.mark.parametrize("name", GENERATORS)
def test_the_first_examples_are_the_same_everywhere(name):
    digest = hashlib.sha256(repr(generate(name, 20)).encode()).hexdigest()
    assert digest[:16] == GOLDEN[name]


@pytest.mark.parametrize("name", GENERATORS)
def test_a_longer_split_begins_with_the_shorter_one(name):
    assert generate(name, 60)[:20] == generate(name, 20)


@pytest.mark.parametrize("name", GENERATORS)
def test_parts_share_no_question_and_repeat_none(name):
    splits = [generate(name, 100, part=part) for part in ("train", "valid", "test")]
    splits.append(generate(name, 100, seed=1, part="test"))
    questions = [{example.question for example in split} for split in splits]
    assert [len(split) for split in questions] == [100] * 4
    assert not questions[0] & questions[1]
    assert not (questions[0] | questions[1]) & (questions[2] | questions[3])
    assert questions[2] != questions[3]


@pytest.mark.parametrize("name", GENERATORS)
def test_ids_name_generator_part_seed_and_number(name):
    examples = generate(name, 3, seed=7, part="valid")
    assert [example.meta["id"] for example in examples] == [f"{name}-valid-7-{i}" for i in range(3)]


def test_a_misspelt_part_is_refused():
    with pytest.raises(UserError, match=r'part: "tset" is not known \(did you mean "test"\?\)'):
        generate("arithmetic", part="tset")


def test_asking_for_more_than_there_is_is_refused():
    with pytest.raises(UserError, match=r"size 200 is more than its options allow: \d+ different"):
        generate("state_tracking", num_states=2, num_maps=2)


@pytest.mark.parametrize("entries", ["joint", "pair"])
@pytest.mark.parametrize("start", ["first", "last"])
def test_state_tracking_steps_follow_the_maps(entries, start):
    for example in generate("state_tracking", entries=entries, start=start):
        words = example.question.split()
        state = words.pop(0 if start == "first" else -1)
        if entries == "joint":
            table = dict(word.split("to") for word in words)
        else:
            table = dict(zip(words[::2], words[1::2], strict=True))
        assert len(table) == 4 * 5
        assert len(example.steps) == 3
        for letter, after in zip("abcd", (*example.steps, example.answer), strict=True):
            state = table[f"{letter}{state}"]
            assert state == after


def test_state_tracking_is_balanced_and_its_vocabulary_small():
    examples = generate("state_tracking", 3000)
    answers = Counter(example.answer for example in examples)
    assert all(abs(answers[str(state)] - 600) < 100 for state in range(5))
    words = {word for example in examples for word in example.question.split()}
    assert len(words) == 5 + 4 * 5 * 5


def test_bijective_maps_are_permutations():
    for example in generate("state_tracking", bijective=True):
        assert all(sorted(table) == [0, 1, 2, 3, 4] for table in example.meta["maps"])


def test_state_tracking_parts_share_no_chain_of_maps():
    chains = [
        {repr(e.meta["maps"]) for e in generate("state_tracking", 150, part=p, num_maps=2)}
        for p in ("train", "valid", "test")
    ]
    assert not chains[0] & chains[1]
    assert not (chains[0] | chains[1]) & chains[2]


def test_arithmetic_steps_and_answer_are_right():
    for example in generate("arithmetic", lengths=[1, 4], max_value=99):
        assert int(example.answer) == eval(example.question)
        assert len(example.steps) in (1, 4)
        for step in example.steps:
            left, right = step.split(" = ")
            assert eval(left) == int(right)
            assert 0 <= int(right) <= 99


def test_long_chains_of_arithmetic_are_as_frequent_as_asked():
    lengths = [len(e.steps) for e in generate("arithmetic", 1000, lengths=[5, 20])]
    # Four standard errors.
    assert abs(lengths.count(20) - 500) < 64
    assert {len(e.steps) for e in generate("arithmetic", 5, lengths=[50])} == {50}


def test_modular_arithmetic_is_right():
    for example in generate("arithmetic", lengths=[5], modulus=7, operations=["*", "-"]):
        assert int(example.answer) == eval(example.question.removesuffix(" mod 7")) % 7


def test_multiplication_is_right():
    for example in generate("multiplication", digits=3, digits_second=2):
        one, two = (int(part.replace(" ", "")[::-1]) for part in example.question.split("*"))
        assert int(example.answer.replace(" ", "")[::-1]) == one * two
        assert (len(str(one)), len(str(two)), len(example.steps)) == (3, 2, 2)


@pytest.mark.parametrize("name", ["4_by_4/valid.txt", "5_by_5/test_bigbench.txt"])
def test_multiplication_is_written_as_in_the_official_files(name, official):
    for example in read_examples("multiplication", official(f"multiplication/{name}")):
        one, two = (int(part.replace(" ", "")[::-1]) for part in example.question.split("*"))
        ours = multiplication_example(one, two, "")
        assert (ours.question, ours.steps, ours.answer) == (
            example.question,
            example.steps,
            example.answer,
        )


@pytest.mark.parametrize("numbers", [3, 4])
def test_countdown_paths_use_every_number_once(numbers):
    for example in generate("countdown", 100, numbers=numbers):
        left = Counter(example.meta["numbers"])
        for step in example.steps:
            expression, result = step.split("=")
            one, sign, two = next(
                (*expression.partition(sign),) for sign in "+-*/" if sign in expression
            )
            left.subtract([int(one), int(two)])
            assert min(left.values()) >= 0
            value = eval(f"{one}{'//' if sign == '/' else sign}{two}")
            assert value == int(result) >= 0
            assert sign != "/" or int(one) % int(two) == 0
            left[value] += 1
        assert +left == Counter([example.meta["target"]])
        assert example.answer == ",".join(example.steps)


def test_countdown_targets_of_test_are_met_nowhere_else():
    for numbers, held_out in TEST_TARGETS.items():
        size = 150 if numbers == 3 else 20
        train = generate("countdown", size, numbers=numbers)
        test = generate("countdown", size, numbers=numbers, part="test")
        assert not {example.meta["target"] for example in train} & set(held_out)
        assert {example.meta["target"] for example in test} <= set(held_out)


def brute_force(numbers: list[int], target: int) -> bool:
    """The slow, obvious solver: every order, every operator, two ways to nest three numbers."""

    def results(a: int, b: int) -> set[int]:
        values = {a + b, a * b, abs(a - b)}
        low, high = sorted((a, b))
        return values | ({high // low} if low and high % low == 0 else set())

    return any(
        target in results(value, c) for a, b, c in permutations(numbers) for value in results(a, b)
    )


def test_the_countdown_solver_is_exact():
    rng = random.Random(0)
    found = 0
    for _ in range(400):
        numbers = [rng.randint(1, 20) for _ in range(3)]
        target = rng.randint(10, 40)
        path = solve(numbers, target)
        assert (path is not None) == brute_force(numbers, target)
        found += path is not None
    assert 50 < found < 350


def test_countdown_can_ask_for_the_target_alone():
    assert all(e.answer == str(e.meta["target"]) for e in generate("countdown", 5, answer="target"))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("state_tracking", {"num_states": 1}, "num_states: 1 is outside 2 to 100"),
        ("state_tracking", {"num_maps": 27}, "num_maps: 27 is outside 1 to 26"),
        (
            "state_tracking",
            {"bijective": "yes"},
            "bijective: 'yes' does not fit; it has to be true",
        ),
        ("state_tracking", {"num_maps": True}, "has to be a whole number"),
        ("arithmetic", {"lengths": []}, "lengths"),
        ("arithmetic", {"lengths": 3}, "has to be a list, each item a whole number"),
        ("arithmetic", {"operations": ["/"]}, 'operations: "/" is not known'),
        ("arithmetic", {"modulus": 1}, "modulus: 1 has to be at least 2"),
        ("arithmetic", {"max_operand": 0}, "max_operand: 0 has to be at least 1"),
        ("arithmetic", {"max_operand": 1000}, "max_operand: 1000 is more than max_value 999"),
        ("arithmetic", {"modulus": 5, "max_value": 50}, "max_value: 50 would be ignored"),
        ("state_tracking", {"alphabet": 3, "entries": "pair"}, 'entries: "pair" would be ignored'),
        ("state_tracking", {"alphabet_seed": 5}, "alphabet_seed: 5 would be ignored"),
        ("multiplication", {"digits": 0}, "digits: 0 is outside 1 to 20"),
        ("countdown", {"numbers": 6}, "numbers: 6 has to be 3, 4 or 5"),
    ],
)
def test_options_that_cannot_be_are_refused(name, options, expected):
    with pytest.raises(UserError) as caught:
        generate(name, 5, **options)
    assert expected in str(caught.value)
    assert f'options of generator "{name}"' in str(caught.value)


def test_operands_of_modular_arithmetic_may_exceed_the_largest_value():
    assert len(generate("arithmetic", 5, modulus=97, max_operand=2000)) == 5


def test_a_product_and_its_commuted_twin_are_in_one_part():
    parts = {
        name: generate("multiplication", 800, digits=2, part=name) for name in ("train", "test")
    }
    train, test = ({frozenset(e.meta["factors"]) for e in found} for found in parts.values())
    assert test
    assert not train & test
