"""The ProsQA generator against the 800 released examples, and its own promises."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import prosqa_statistics as statistics
import pytest

from latentreason.config import SplitConfig
from latentreason.data import Example, load_split, read_examples, write_examples
from latentreason.data.graph import shape_key
from latentreason.errors import UserError

N = 2000


@pytest.fixture(scope="module")
def generated() -> list[Example]:
    return load_split(SplitConfig(generator="prosqa", size=N))


@pytest.fixture(scope="module")
def debiased() -> list[Example]:
    return load_split(SplitConfig(generator="prosqa", size=N, options={"debiased": True}))


@pytest.fixture
def released(official) -> list[Example]:
    return [
        example
        for name in ("test", "valid")
        for example in read_examples("prosqa", official(f"prosqa/prosqa_{name}.json"))
    ]


def shapes(examples: list[Example]) -> set[str]:
    return {
        shape_key(len(example.meta["idx_to_symbol"]), example.meta["edges"]) for example in examples
    }


def test_means_are_those_of_the_released_files(generated, released):
    ours = [statistics.figures(example) for example in generated]
    theirs = [statistics.figures(example) for example in released]
    apart = {
        name: statistics.standard_errors_apart([f[name] for f in ours], [f[name] for f in theirs])
        for name in ours[0]
    }
    assert {name: round(errors, 2) for name, errors in apart.items() if errors > 3} == {}


def test_path_lengths_are_distributed_as_released(generated, released):
    counts = [Counter(len(example.steps) for example in split) for split in (generated, released)]
    rows = [[count[length] for length in (3, 4, 5, 6)] for count in counts]
    assert sum(rows[0]) == N
    assert statistics.chi_squared(*rows) > 0.01


def test_node_labels_are_distributed_as_released(generated, released):
    rows = [statistics.label_counts(split) for split in (generated, released)]
    assert statistics.chi_squared(*rows) > 0.01


def test_depths_of_the_wrong_option_are_distributed_as_released(generated, released):
    counts = [
        Counter(statistics.figures(example)["wrong_depth"] for example in split)
        for split in (generated, released)
    ]
    assert statistics.chi_squared(*([c[depth] for depth in (1, 2, 3, 4)] for c in counts)) > 0.01


def test_no_generated_graph_is_a_released_one(generated, released):
    assert not shapes(generated) & shapes(released)


def test_parts_share_no_graph_whatever_their_seeds():
    splits = [
        shapes(load_split(SplitConfig(generator="prosqa", size=300, seed=s, options={"part": p})))
        for p, s in (("train", 0), ("valid", 0), ("test", 0), ("test", 1))
    ]
    assert [len(split) for split in splits] == [300] * 4
    train, valid, test, other_test = splits
    assert not train & valid
    assert not (train | valid) & (test | other_test)


def test_small_graphs_share_none_between_parts_either():
    def split(part: str) -> set[str]:
        options = {"part": part, "max_nodes": 10, "path_lengths": [2, 3]}
        return shapes(load_split(SplitConfig(generator="prosqa", size=200, options=options)))

    assert not split("train") & split("test")


def test_the_shape_key_ignores_numbers_and_order_of_nodes():
    edges = [[0, 2], [2, 3], [1, 3], [3, 4]]
    renumbered = [[4 - child, 4 - parent] for parent, child in edges]
    upside_down = [[child, parent] for parent, child in renumbered]
    assert shape_key(5, edges) == shape_key(5, upside_down[::-1])
    assert shape_key(5, edges) != shape_key(5, [[0, 2], [2, 3], [1, 2], [3, 4]])


def test_steps_are_a_shortest_path_and_the_text_states_the_graph(generated):
    for example in generated[:200]:
        meta = example.meta
        names = meta["idx_to_symbol"]
        *rules, question = example.question.split(". ")
        assert len(rules) == len(meta["edges"])
        stated = {tuple(rule.removeprefix("Every ").split(" is a ")) for rule in rules}
        assert stated == {(names[parent], names[child]) for parent, child in meta["edges"]}
        path = [meta["root"]]
        for step in example.steps:
            subject, _, concept = step.removeprefix("Every ").removesuffix(".").partition(" is a ")
            assert subject == names[path[-1]]
            path.append(names.index(concept))
        assert all([one, two] in meta["edges"] for one, two in pairwise(path))
        assert path[-1] == meta["target"]
        options = {names[meta["target"]], names[meta["neg_target"]]}
        root = names[meta["root"]]
        assert (
            set(question.removeprefix(f"Is {root} a ").removesuffix("?").split(" or ")) == options
        )
        assert example.answer == f"{root} is a {names[meta['target']]}."


def test_symbolic_form_is_the_text_form_in_numbers():
    options = {"path_lengths": [3, 4], "form": "symbolic"}
    for example in load_split(SplitConfig(generator="prosqa", size=100, options=options)):
        meta = example.meta
        listed, _, rest = example.question.partition(" [Q] ")
        assert sorted(listed.split(" | ")) == sorted(f"{a} {b}" for a, b in meta["edges"])
        assert len(example.question.split()) == 3 * len(meta["edges"]) + 4
        choices, _, root = rest.partition(" [R] ")
        assert set(choices.split()) == {str(meta["target"]), str(meta["neg_target"])}
        path = [int(root), *map(int, example.steps)]
        assert all([one, two] in meta["edges"] for one, two in pairwise(path))
        assert example.answer == str(path[-1]) == str(meta["target"])
        assert all(node in meta["neighbor_k"][str(depth)] for depth, node in enumerate(path))


def test_relabelled_numbers_do_not_tell_the_root():
    options = {"form": "symbolic", "relabel": True, "num_labels": 31}
    examples = load_split(SplitConfig(generator="prosqa", size=300, options=options))
    roots = Counter(example.meta["root"] for example in examples)
    assert len(roots) > 25
    assert max(roots) <= 30
    assert max(roots.values()) < 30


def test_debiasing_leaves_the_shortcuts_at_chance(generated, debiased):
    for cue in (statistics.mentions, statistics.in_degree, statistics.stated_of_other):
        assert statistics.shortcut(debiased, cue) == 0.5
        assert statistics.shortcut(generated, cue) > 0.57
    assert statistics.shortcut(generated, statistics.ancestors) > 0.65
    # Chance plus or minus three standard errors at n = 2000.
    assert abs(statistics.shortcut(debiased, statistics.ancestors) - 0.5) < 0.034
    assert statistics.regression(generated) > 0.80
    assert abs(statistics.regression(debiased) - 0.5) < 0.034


def test_debiasing_matches_the_two_options_in_parents_and_depth(debiased):
    for example in debiased[:300]:
        figures = statistics.figures(example)
        assert figures["target_in_degree"] == figures["wrong_in_degree"]
        assert figures["length"] == figures["wrong_depth"]


def test_released_files_have_the_shortcuts_that_are_told_of_them(released):
    assert round(statistics.shortcut(released, statistics.mentions), 3) == 0.664
    assert round(statistics.shortcut(released, statistics.stated_of_other), 3) == 0.599
    assert statistics.regression(released) > 0.8


def test_written_examples_load_back_equal(generated, tmp_path):
    write_examples(generated[:100], tmp_path / "made.json")
    assert read_examples("prosqa", tmp_path / "made.json") == generated[:100]


def test_options_that_cannot_be_met_are_refused():
    def message(options: dict) -> str:
        with pytest.raises(UserError) as caught:
            load_split(SplitConfig(generator="prosqa", size=5, options=options))
        return str(caught.value)

    assert "num_labels: 20 is less than max_nodes 28" in message(
        {"form": "symbolic", "relabel": True, "num_labels": 20}
    )
    assert "relabel and num_labels need form: symbolic" in message({"relabel": True})
    assert "max_nodes: 3 is outside 6 to 40" in message({"max_nodes": 3})
    assert "path_lengths" in message({"path_lengths": []})
    assert 'did you mean "symbolic"' in message({"form": "symbol"})
