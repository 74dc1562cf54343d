"""Benchmark readers on rows of our own: what is read, and where a broken row is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latentreason.data.example import Example
from latentreason.errors import DataError
from latentreason_eval.benchmark import read_benchmarks
from latentreason_eval.check import check_split
from latentreason_eval.readers import READERS
from latentreason_eval.sources import LoadedSplit
from latentreason_eval.verification.arithmetic import ReachVerifier


def read(name: str, path: Path, **options: Any) -> list[Example]:
    reader = READERS[name]
    return list(reader.read(path, reader.options(**options)))


def written(folder: Path, rows: Any, lines: bool = False) -> Path:
    path = folder / ("rows.jsonl" if lines else "rows.json")
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


def test_svamp(tmp_path):
    row = {"ID": "x-1", "Body": "Ann has 3 hats", "Question": "How many?", "Answer": 3.0}
    (example,) = read("svamp", written(tmp_path, [row]))
    assert example.question == "Ann has 3 hats. How many?"
    assert (example.answer, example.meta["id"]) == ("3", "x-1")


def test_input_target(tmp_path):
    rows = [{"input": "1 and 1 ?", "target": 2.0}, {"input": "a third?", "target": 0.3333}]
    found = read("input_target", written(tmp_path, rows, lines=True))
    assert [example.answer for example in found] == ["2", "0.3333"]


def test_bbh(tmp_path):
    question = "Which?\nOptions:\n(A) one\n(B) two"
    rows = [{"input": question, "target": "(B)"}, {"input": "3 + 4 =", "target": "7"}]
    found = read("bbh", written(tmp_path, {"canary": "c", "examples": rows}))
    assert [example.answer for example in found] == ["B", "7"]
    assert found[0].meta["options"] == ["one", "two"]
    assert "options" not in found[1].meta


def test_big_bench_shuffles_the_right_option_away_from_the_first_place(tmp_path):
    rows = [
        {"input": f"day {n}?", "target_scores": {"right": 1, "w1": 0, "w2": 0, "w3": 0}}
        for n in range(40)
    ]
    path = written(tmp_path, {"examples": rows})
    found = read("big_bench", path)
    assert {example.answer for example in found} == set("ABCD")
    assert all(e.meta["options"]["ABCD".index(e.answer)] == "right" for e in found)
    assert found == read("big_bench", path)


def test_logic_llm(tmp_path):
    row = {
        "id": "p1",
        "context": "Max is a yumpus.",
        "question": "True or false? Max is sour.",
        "options": ["A) True", "B) False"],
        "answer": "B",
    }
    (example,) = read("logic_llm", written(tmp_path, [row]))
    assert (example.answer, example.meta["id"]) == ("False", "p1")
    assert example.question.startswith("Max is a yumpus. True or false?")


def test_question_answer_tells_options_and_sentences_from_formulas(tmp_path):
    answers = ["$2$", "C", "the graph of $f$ rises", "$1$ and $2$"]
    rows = [{"question": "q", "answer": answer, "key": f"k{n}"} for n, answer in enumerate(answers)]
    found = read("question_answer", written(tmp_path, rows), id="key")
    kinds = [example.meta.get("answer_type") for example in found]
    assert kinds == [None, "option", "words", None]
    assert found[2].meta["id"] == "k2"


def test_olympiadbench(tmp_path):
    rows = [
        {
            "id": 7,
            "context": "Let n > 0.",
            "question": "n?",
            "final_answer": ["2"],
            "error": "1e-1",
        },
        {"id": 8, "context": None, "question": "m?", "final_answer": ["1", "2"], "error": None},
    ]
    first, second = read("olympiadbench", written(tmp_path, rows))
    assert (first.question, first.meta["tolerance"]) == ("Let n > 0.\nn?", 0.1)
    assert (second.answer, second.meta["id"]) == ("1, 2", "8")


def test_theoremqa(tmp_path):
    rows = [
        {"Question": "a", "Answer": True, "Answer_type": "bool", "id": "1"},
        {"Question": "b", "Answer": 1.42, "Answer_type": "float", "id": "2"},
        {"Question": "c", "Answer": [1, 2], "Answer_type": "list of integer", "id": "3"},
        {"Question": "d", "Answer": "(c)", "Answer_type": "option", "id": "4"},
    ]
    found = read("theoremqa", written(tmp_path, rows))
    assert [example.answer for example in found] == ["True", "1.42", "[1, 2]", "C"]
    assert found[1].meta["relative_tolerance"] == 0.04
    assert found[2].meta["ordered"] is True


def test_game24_reads_a_range_of_ranks(tmp_path):
    path = tmp_path / "24.csv"
    path.write_text("Rank,Puzzles,Solved\n1,1 2 3 4,99%\n2,3 3 8 8,50%\n3,1 1 1 1,0%\n")
    first, second = read("game24", path, last=2)
    assert (first.question, second.meta["id"]) == ("1 2 3 4", "2")
    assert ReachVerifier().correct(second.answer, "", second.meta)
    assert [e.meta["id"] for e in read("game24", path, first=3)] == ["3"]


def test_sudoku(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("Puzzle,Solution\n1000000000000000,1234341221434321\n")
    (example,) = read("sudoku", path)
    assert (example.question, example.answer) == ("1000000000000000", "1234341221434321")


BROKEN = [
    ("svamp", '[{"Body": "b", "Question": "q", "Answer": 1},\n{"Body": "b", "Question": "q"}]', 2),
    ("input_target", '{"input": "a", "target": 1}\n{"input": "a", "target": "x"}', 2),
    ("bbh", '{"examples": [\n{"input": "a", "target": "b"},\n{"input": "a"}]}', 3),
    ("bbh", '{"examples": [\n{"input": "a", "target": "b"},\n{"input": ]}', 3),
    ("big_bench", '{"examples": [{"input": "a", "target_scores": {"x": 0}}]}', 1),
    ("logic_llm", '[{"context": "", "question": "", "options": ["A) T"], "answer": "Z"}]', 1),
    ("question_answer", '{"question": "q", "answer": "1"}\n{"question": "q"}', 2),
    ("olympiadbench", '[{"question": "q", "final_answer": []}]', 1),
    ("theoremqa", '[{"Question": "q"}]', 1),
    ("game24", "Rank,Puzzles\n1,1 2 3\n", 2),
    ("game24", "Rank,Numbers\n1,1 2 3 4\n", 1),
    ("sudoku", "Puzzle,Solution\n12,1\n", 2),
]


@pytest.mark.parametrize(("name", "text", "line"), BROKEN)
def test_a_broken_row_is_reported_with_file_and_line(tmp_path, name, text, line):
    path = tmp_path / "broken.file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"broken\.file:{line}: ") as error:
        read(name, path)
    assert "\n" not in str(error.value)


def test_every_reader_has_a_broken_row_in_the_table():
    assert {name for name, _, _ in BROKEN} == set(READERS)


def test_a_gold_that_cannot_be_extracted_fails_the_check():
    text = """
name: toy
title: t
version: 1
source: here
licence: MIT
reader: input_target
splits: {test: {file: toy.jsonl}}
answer: number
verify: number
"""
    (benchmark,) = read_benchmarks(text, "toy.yaml")
    rows = [("1", "a"), ("2.0", "b"), ("2", "c"), ("none", "d")]
    examples = [Example("q", (), answer, {"id": name}) for answer, name in rows]
    row = check_split(benchmark, LoadedSplit("test", examples))
    assert row["gold_accuracy"] == 0.75
    assert row["failures"] == ["d"]
    same = [Example("q", (), "2.0", {"id": "a"}), Example("q", (), "2", {"id": "b"})]
    # 2.0 is 2: there is nothing to tell apart.
    assert check_split(benchmark, LoadedSplit("test", same))["wrong_accuracy"] is None
