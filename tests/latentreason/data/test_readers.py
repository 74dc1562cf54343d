"""Readers on rows written here, and on the official files where they are at hand."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from latentreason.config import SplitConfig
from latentreason.data import Example, load_split, read_examples, write_examples
from latentreason.data.augment import AUGMENTATIONS
from latentreason.errors import DataError, UserError
from latentreason_eval.baselines.prosqa import ancestors, two_expansions
from latentreason_eval.verification.arithmetic import ReachVerifier

GRAPH = {
    "question": "Ann is a x. Every x is a y. Ann is a z. Every z is a y. Is Ann a y or w?",
    "answer": "Ann is a y.",
    "steps": ["Ann is a x.", "Every x is a y."],
    "idx_to_symbol": ["Ann", "Bo", "x", "z", "y", "w"],
    "edges": [[0, 2], [0, 3], [2, 4], [3, 4], [1, 5]],
    "root": 0,
    "target": 4,
    "neg_target": 5,
}


def test_json_takes_lists_and_lines_plain_and_packed(tmp_path):
    rows = [{"question": "wie groß?", "steps": ["größer"], "answer": 1.5}] * 3
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_text("\ufeff" + text + "\n", "utf-8")
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=2), "utf-8")
    (tmp_path / "rows.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    expected = [Example("wie groß?", ("größer",), "1.5", {"id": str(i)}) for i in range(3)]
    for name in ("rows.jsonl", "rows.json", "rows.json.gz"):
        assert read_examples("json", tmp_path / name) == expected


def test_a_line_separator_inside_a_question_does_not_end_the_row(tmp_path):
    (tmp_path / "rows.txt").write_text("one\u2028two\x0bthree||<<1+1=2>> #### 2\r\n", "utf-8")
    (example,) = read_examples("gsm8k_aug", tmp_path / "rows.txt")
    assert example.question == "one\u2028two\x0bthree"
    assert (example.steps, example.answer) == (("<<1+1=2>>",), "2")


def test_gsm8k_aug_allows_no_equation(tmp_path):
    (tmp_path / "rows.txt").write_text("how many?|| #### 1,000\n", "utf-8")
    (example,) = read_examples("gsm8k_aug", tmp_path / "rows.txt")
    assert (example.steps, example.answer) == ((), "1,000")


def test_blanks_inside_an_equation_of_gsm8k_aug_do_not_end_it(tmp_path):
    (tmp_path / "rows.txt").write_text("q||<<1 + 2=3>><<3*2=6>> #### 6\n", "utf-8")
    (example,) = read_examples("gsm8k_aug", tmp_path / "rows.txt")
    assert example.steps == ("<<1 + 2=3>>", "<<3*2=6>>")


def test_gsm8k_gives_lines_or_equations(tmp_path):
    answer = "She has 2*3=<<2*3=6>>6 pens.\nThat is 6+1=<<6+1=7>>7 in all.\n#### 7"
    (tmp_path / "rows.jsonl").write_text(json.dumps({"question": "q", "answer": answer}))
    (text,) = read_examples("gsm8k", tmp_path / "rows.jsonl")
    (equations,) = read_examples("gsm8k", tmp_path / "rows.jsonl", steps="equations")
    assert text.steps == ("She has 2*3=6 pens.", "That is 6+1=7 in all.")
    assert equations.steps == ("<<2*3=6>>", "<<6+1=7>>")
    assert text.answer == equations.answer == "7"


def test_questions_to_leave_out_are_looked_for_like_the_file(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    for folder, question in ((tmp_path, "one"), (elsewhere, "three")):
        folder.mkdir(exist_ok=True)
        rows = [json.dumps({"question": q, "answer": "#### 1"}) for q in ("one", "two")]
        (folder / "train.jsonl").write_text("\n".join(rows))
        (folder / "valid.txt").write_text(f"{question}|| #### 1\n")
    monkeypatch.setenv("LATENTREASON_DATA", str(elsewhere))
    split = SplitConfig(reader="gsm8k", file="train.jsonl", options={"exclude": "valid.txt"})
    assert [e.question for e in load_split(split, str(tmp_path))] == ["two"]
    with pytest.raises(UserError, match=r"train.jsonl: holds no question of exclude: .*valid.txt"):
        load_split(split)


def test_an_option_may_stand_in_no_edge(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([{**GRAPH, "edges": GRAPH["edges"][:-1]}]))
    (example,) = read_examples("prosqa_symbolic", tmp_path / "rows.json")
    for augment in AUGMENTATIONS.values():
        drawn = augment(example, np.random.default_rng(0))
        assert len(drawn.steps) == len(example.steps)
    for score in (ancestors, two_expansions):
        assert len(score([example])) == 1


def test_aqua_puts_its_options_below_the_question(tmp_path):
    row = {"question": "2+2?", "options": ["A)3", "B)4"], "rationale": "add\n\nB it is"}
    (tmp_path / "rows.json").write_text(json.dumps(row | {"correct": "B"}))
    (example,) = read_examples("aqua", tmp_path / "rows.json")
    assert example.question == "2+2?\nOptions:\n(A) 3\n(B) 4"
    assert (example.steps, example.answer) == (("add", "B it is"), "B")
    assert example.meta["options"] == ["3", "4"]
    for letter in ("C", "AB", ""):
        (tmp_path / "rows.json").write_text(json.dumps(row | {"correct": letter}))
        with pytest.raises(
            DataError, match=rf'rows\.json:1: .*"{letter}" is none of the 2 options'
        ):
            read_examples("aqua", tmp_path / "rows.json")


def test_strategyqa_reads_facts_as_steps_and_parts_of_a_file(tmp_path):
    rows = [
        {"qid": f"q{n}", "question": f"Is {n} odd?", "answer": n % 2 == 1, "facts": [f"fact {n}"]}
        for n in range(11)
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))

    def read(**options):
        return read_examples("strategyqa", tmp_path / "rows.json", **options)

    assert read()[1] == Example("Is 1 odd?", ("fact 1",), "yes", {"id": "q1"})
    assert read()[0].answer == "no"
    assert read(part="first80") == read()[:8]
    assert read(part="last20") == read()[8:]
    (tmp_path / "rows.json").write_text('[{"question": "q", "answer": "yes"}]')
    with pytest.raises(DataError, match=r"rows\.json:1: .*true or false"):
        read()


def test_symbolic_prosqa_is_written_from_the_graph(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([GRAPH]))
    (example,) = read_examples("prosqa_symbolic", tmp_path / "rows.json")
    edges, _, rest = example.question.partition(" [Q] ")
    assert sorted(edges.split(" | ")) == ["0 2", "0 3", "1 5", "2 4", "3 4"]
    assert rest in ("4 5 [R] 0", "5 4 [R] 0")
    assert example.steps in (("2", "4"), ("3", "4"))
    assert example.answer == "4"
    assert example.meta == {
        "id": "0",
        **{key: GRAPH[key] for key in ("edges", "root", "target", "neg_target")},
        "neighbor_k": {"0": [0], "1": [2, 3], "2": [4]},
    }


def test_symbolic_prosqa_draws_by_seed_and_relabels_consistently(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([GRAPH] * 20))

    def read(**options):
        return read_examples("prosqa_symbolic", tmp_path / "rows.json", **options)

    assert read(seed=1) == read(seed=1) != read(seed=2)
    for example in read(relabel=True, num_labels=9):
        meta = example.meta
        number = [meta["edges"][0][0], meta["edges"][4][0]]
        number += [meta["edges"][0][1], meta["edges"][1][1], meta["edges"][2][1]]
        number.append(meta["edges"][4][1])
        assert len(set(number)) == 6
        assert all(0 <= label < 9 for label in number)
        assert meta["edges"] == [[number[a], number[b]] for a, b in GRAPH["edges"]]
        assert (meta["root"], meta["target"]) == (number[0], number[4])
        assert sorted(meta["neighbor_k"]["1"]) == sorted([number[2], number[3]])
    assert read(path_lengths=[2]) == read()
    with pytest.raises(UserError, match="num_labels needs relabel"):
        read(num_labels=9)


def test_countdown_takes_two_schemas_and_solves(tmp_path):
    path = tmp_path / "countdown.jsonl"
    path.write_text(
        '{"input": "30,100,93", "output": "23"}\n'
        '{"input": "30,100,93,23", "output": "100-93=7,30-7=23"}\n'
        '{"input": "1,1,1", "output": "90"}\n'
        '{"input": "3,5,2,30", "output": "3*5=15,15*2=30"}\n'
    )
    plain, chained, hopeless, theirs = read_examples("countdown", path)
    assert plain.question == chained.question == "30,100,93,23"
    assert plain.answer == ",".join(plain.steps)
    assert chained.steps == ("100-93=7", "30-7=23")
    assert (theirs.steps, theirs.answer) == (("3*5=15", "15*2=30"), "3*5=15,15*2=30")
    assert plain.meta == {"id": "0", "numbers": [30, 100, 93], "target": 23}
    assert ReachVerifier().correct(plain.answer, "", plain.meta)
    assert (hopeless.steps, hopeless.answer) == ((), "")
    path.write_text('{"input": "thirty", "output": "23"}\n')
    with pytest.raises(DataError, match=r"countdown.jsonl:1: .*not of the form"):
        read_examples("countdown", path)
    for chain in ("garbage=1", "30-93=63,100-63=37", "100-93=7,7+16=23", "30-7=23"):
        path.write_text(f'{{"input": "30,100,93,23", "output": "{chain}"}}\n')
        with pytest.raises(DataError, match="does not reach 23 by the rules"):
            read_examples("countdown", path)


def test_generated_symbolic_examples_load_back(tmp_path):
    options = {"form": "symbolic", "relabel": True, "num_labels": 60}
    made = load_split(SplitConfig(generator="prosqa", size=5, options=options))
    write_examples(made, tmp_path / "rows.json")
    assert read_examples("prosqa", tmp_path / "rows.json") == made
    again = read_examples("prosqa_symbolic", tmp_path / "rows.json")
    for one, other in zip(made, again, strict=True):
        assert sorted(one.question.split()) == sorted(other.question.split())
        assert (one.answer, one.meta) == (other.answer, other.meta)


@pytest.mark.parametrize(
    ("reader", "name", "count"),
    [
        ("prosqa", "prosqa/prosqa_test.json", 500),
        ("prosqa", "prosqa/prosqa_valid.json", 300),
        ("prosqa_symbolic", "prosqa/prosqa_test.json", 500),
        ("prosqa_symbolic", "prosqa_symbolic/prosqa_test_graph_4_coconut.json", 419),
        ("prosqa_symbolic", "prosqa_symbolic/prosqa_valid_graph_4_coconut.json", 257),
        ("gsm8k_aug", "gsm8k_icot/test.txt", 1319),
        ("gsm8k_aug", "gsm8k_icot/valid.txt", 500),
        ("gsm8k", "gsm8k/train.jsonl", 7473),
        ("gsm8k", "gsm8k/test.jsonl", 1319),
        ("aqua", "aqua_rat/dev.json", 254),
        ("aqua", "aqua_rat/test.json", 254),
        ("strategyqa", "strategyqa/train.json", 2061),
        ("strategyqa", "strategyqa/dev.json", 229),
        ("json", "gsm8k_coconut_json/gsm_valid.json", 500),
        ("prontoqa", "prontoqa/prontoqa_train.json.gz", 9000),
        ("prontoqa", "prontoqa/prontoqa_test.json", 800),
        ("multiplication", "multiplication/4_by_4/valid.txt", 1000),
        ("multiplication", "multiplication/5_by_5/test_bigbench.txt", 1000),
        ("countdown", "countdown/countdown_cd3_test.jsonl", 256),
    ],
)
def test_official_files_are_read_whole(reader, name, count, official):
    examples = read_examples(reader, official(name))
    assert len(examples) == count
    assert all(example.question.strip() and example.answer.strip() for example in examples)


def test_equations_of_gsm8k_are_those_of_the_equation_only_file(official):
    ours = read_examples("gsm8k", official("gsm8k/test.jsonl"), steps="equations")
    theirs = read_examples("gsm8k_aug", official("gsm8k_icot/test.txt"))
    assert [example.answer for example in ours] == [example.answer for example in theirs]
    assert [example.steps for example in ours] == [example.steps for example in theirs]
    train = read_examples("gsm8k", official("gsm8k/train.jsonl"), steps="equations")
    assert sum(not example.steps for example in train) == 95


def test_training_without_the_validation_questions(official):
    ours = read_examples(
        "gsm8k",
        official("gsm8k/train.jsonl"),
        steps="equations",
        exclude="gsm8k_icot/valid.txt",
    )
    valid = read_examples("gsm8k_aug", official("gsm8k_icot/valid.txt"))
    assert len(ours) == 7473 - 500
    assert not {e.question for e in ours} & {e.question for e in valid}
    derived = read_examples("gsm8k_aug", official("gsm8k_icot/train_noaug_derived.txt"))
    assert [e.answer for e in ours] == [e.answer for e in derived]
    assert [e.steps for e in ours] == [e.steps for e in derived]


def test_gsm8k_aug_text_and_json_are_the_same_examples(official):
    text = read_examples("gsm8k_aug", official("gsm8k_icot/valid.txt"))
    listed = read_examples("json", official("gsm8k_coconut_json/gsm_valid.json"))
    assert text == listed


def test_released_neighbours_are_those_we_compute(official, tmp_path):
    path = official("prosqa_symbolic/prosqa_test_graph_4_coconut.json")
    released = {
        example.meta["id"]: example.meta["neighbor_k"]
        for example in read_examples("prosqa_symbolic", path)
    }
    rows = json.loads(path.read_text("utf-8"))
    for row in rows:
        del row["neighbor_k"]
    (tmp_path / "rows.json").write_text(json.dumps(rows), "utf-8")
    computed = read_examples("prosqa_symbolic", tmp_path / "rows.json")
    for example in computed:
        theirs = released[example.meta["id"]]
        ours = example.meta["neighbor_k"]
        assert {k: sorted(v) for k, v in theirs.items()} == ours


def test_released_prosqa_is_written_as_it_was_read(official, tmp_path):
    path = official("prosqa/prosqa_valid.json")
    write_examples(read_examples("prosqa", path), tmp_path / "copy.json")
    assert json.loads((tmp_path / "copy.json").read_text("utf-8")) == json.loads(
        path.read_text("utf-8")
    )


def test_symbolic_files_are_the_text_files_with_three_or_four_steps(official):
    text = read_examples(
        "prosqa_symbolic", official("prosqa/prosqa_test.json"), path_lengths=[3, 4]
    )
    symbolic = read_examples(
        "prosqa_symbolic", official("prosqa_symbolic/prosqa_test_graph_4_coconut.json")
    )
    assert [e.meta["edges"] for e in text] == [e.meta["edges"] for e in symbolic]
