"""Benchmark files: all of them load, name what they must, and read the real data whole."""

from __future__ import annotations

import re

import pytest

from latentreason.data.readers import READERS as SHARED
from latentreason.errors import UserError
from latentreason_eval.api import benchmark_sources, check_benchmarks, list_benchmarks
from latentreason_eval.baselines import BASELINES
from latentreason_eval.benchmark import benchmark_names, find_benchmark, read_benchmarks
from latentreason_eval.check import FORMS
from latentreason_eval.readers import READERS
from latentreason_eval.sources import at_hand, load_split

MINIMUM = [
    "gsm8k",
    "gsm8k_aug",
    "gsm_hard",
    "svamp",
    "multiarith",
    "mawps",
    "aqua_rat",
    "strategyqa",
    "date_understanding",
    "prosqa",
    "prosqa_symbolic",
    "prontoqa",
    "countdown",
    "game24",
    "deepmind_math",
    "gaokao2023en",
    "olympiadbench",
    "theoremqa",
    "multiplication",
    "sudoku4x4",
    "bbh_navigate",
    "state_tracking",
]
BARE = """
name: toy
title: t
version: 1
source: here
licence: MIT
reader: json
splits: {test: {file: toy.json}}
answer: number
verify: number
"""


def test_the_benchmarks_that_were_promised_exist():
    names = benchmark_names()
    assert set(MINIMUM) <= set(names)
    assert sum(name.startswith("bbh_") for name in names) == 27


@pytest.mark.parametrize("name", benchmark_names())
def test_a_benchmark_file_is_complete(name):
    benchmark = find_benchmark(name)
    assert benchmark.source
    assert benchmark.licence
    assert benchmark.version >= 1
    assert set(benchmark.baselines) <= set(BASELINES)
    assert set(benchmark.chain().places) <= set(FORMS)
    assert benchmark.reader in {**SHARED, **READERS}
    for split in benchmark.splits.values():
        assert bool(split.file) != bool(split.generator)
        assert split.url is None or split.url.startswith("https://")
        assert split.sha256 is None or re.fullmatch("[0-9a-f]{64}", split.sha256)
        assert all(reason for reason in split.exclude.values())


def test_sources_are_what_data_get_needs():
    (test, _) = benchmark_sources("gsm8k")
    assert test.path == "gsm8k/test.jsonl"
    assert test.url.endswith("/grade_school_math/data/test.jsonl")
    assert test.sha256 is not None
    assert {row["benchmark"] for row in list_benchmarks()} == set(benchmark_names())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("version: 1", "versoin: 1", 'did you mean "version"'),
        ("answer: number", "answer: nmber", 'answer: "nmber".*did you mean "number"'),
        ("verify: number", "verify: formulas", 'did you mean "formula"'),
        ("licence: MIT\n", "", "licence"),
        ("{file: toy.json}", "{fiel: toy.json}", 'did you mean "file"'),
        ("splits: {test: {file: toy.json}}", "splits: {}", "at least one split"),
        ("name: toy", "name: [toy", "toy.yaml: not YAML"),
    ],
)
def test_a_mistake_in_a_benchmark_file_is_named(old, new, words):
    with pytest.raises(UserError, match=words) as error:
        read_benchmarks(BARE.replace(old, new), "toy.yaml")
    assert "\n" not in str(error.value)


def test_members_override_the_family():
    text = BARE.replace("name: toy", "name: fam") + (
        "members:\n  one: {answer: text, verify: text}\n  two:\n"
    )
    one, two = read_benchmarks(text, "fam.yaml")
    assert (one.name, one.answer, two.name, two.answer) == ("fam_one", "text", "fam_two", "number")


def test_a_yaml_file_is_a_benchmark_by_path(tmp_path):
    (tmp_path / "toy.yaml").write_text(BARE)
    assert find_benchmark(str(tmp_path / "toy.yaml")).name == "toy"


def test_a_generated_split_is_held_out_from_training():
    from latentreason.config import SplitConfig
    from latentreason.data import load_split as load

    trained = load(SplitConfig(generator="state_tracking", size=2000, seed=0))
    scored = load_split(find_benchmark("state_tracking")).examples
    assert len(scored) == 1000
    assert not {e.question for e in trained} & {e.question for e in scored}


def test_a_missing_file_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("LATENTREASON_DATA", raising=False)
    monkeypatch.setenv("LATENTREASON_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"svamp/SVAMP\.json.*LATENTREASON_DATA.*data get svamp"):
        load_split(find_benchmark("svamp"))


def test_real_files_have_the_counts_of_their_description(data_root):
    seen = 0
    for name in benchmark_names():
        benchmark = find_benchmark(name)
        for split_name, split in benchmark.splits.items():
            if split.file and at_hand(split):
                loaded = load_split(benchmark, split_name)
                seen += 1
                assert len(loaded.examples) == split.n, (name, split_name)
                assert loaded.excluded == len(split.exclude), (name, split_name)
                assert split.sha256 == loaded.fingerprint, (name, split_name)
    assert seen >= 50


FAST = ("gsm8k", "svamp", "mawps", "aqua_rat", "strategyqa", "prosqa_symbolic", "sudoku4x4")


def test_golds_of_real_files_score_one_and_foreign_ones_zero(data_root):
    rows = check_benchmarks(FAST)
    assert {row["benchmark"] for row in rows} == set(FAST)
    bad = [row for row in rows if (row["gold_accuracy"], row["wrong_accuracy"]) != (1, 0)]
    assert not bad


@pytest.mark.slow
def test_golds_of_all_real_files_score_one_and_foreign_ones_zero(data_root):
    rows = check_benchmarks()
    assert len({row["benchmark"] for row in rows}) >= 40
    bad = [row for row in rows if (row["gold_accuracy"], row["wrong_accuracy"]) != (1, 0)]
    assert not bad


def test_a_users_file_is_checked_in_the_benchmarks_schema(sums_file):
    (row,) = check_benchmarks(["state_tracking"], data=str(sums_file))
    assert (row["split"], row["n"], row["gold_accuracy"], row["wrong_accuracy"]) == (
        "file",
        30,
        1.0,
        0.0,
    )
    with pytest.raises(UserError, match="exactly one benchmark"):
        check_benchmarks(["gsm8k", "svamp"], data=str(sums_file))
