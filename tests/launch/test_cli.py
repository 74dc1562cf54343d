"""The commands as a user types them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest
from runs import environment, latentreason, losses, metrics, recipe_file

from latentreason_launch.cli import build_parser, main

QUESTION = "1 a0to1 a1to2 a2to0 b0to0 b1to1 b2to2 c0to1 c1to0 c2to2"


def call(capsys, *words):
    """A command in this process: exit code, output, errors."""
    try:
        code = main(list(words))
    except SystemExit as leave:
        code = leave.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_is_quick_and_names_every_command():
    command = [sys.executable, "-m", "latentreason_launch.cli", "--help"]
    subprocess.run(command, capture_output=True, env=environment(), check=True)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=True)
    seconds = time.perf_counter() - start
    for name in ("train", "eval", "generate", "export", "data", "ls", "validate"):
        assert re.search(rf"^ +{name}\b", done.stdout, re.M), name
    assert seconds < 1.5


def test_help_imports_nothing_heavy():
    script = "import sys\nfrom latentreason_launch.cli import build_parser\nbuild_parser()\n"
    script += "print([n for n in ('torch', 'transformers', 'omegaconf', 'yaml', 'numpy')"
    script += " if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(),
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_every_command_has_its_help(capsys):
    for name in build_parser()._subparsers._group_actions[0].choices:
        code, out, _ = call(capsys, name, "--help")
        assert code == 0
        assert name in out


def test_ls_lists_all_kinds(capsys):
    code, out, _ = call(capsys, "ls")
    assert code == 0
    for word in ("methods:", "recipes:", "benchmarks:", "readers:", "generators:"):
        assert word in out
    for word in ("coconut", "no_cot", "demo/coconut", "prosqa", "gsm8k_aug", "state_tracking"):
        assert f"\n  {word} " in out
    code, out, _ = call(capsys, "ls", "readers")
    assert code == 0
    assert "methods:" not in out


def test_validate_names_the_recipes_that_are_well(capsys, tmp_path):
    file = recipe_file(tmp_path)
    code, out, _ = call(capsys, "validate", str(file), "demo/coconut")
    assert (code, out) == (0, f"{file}: ok\ndemo/coconut: ok\n")


def test_validate_takes_overrides(capsys):
    code, out, _ = call(capsys, "validate", "demo/coconut", "demo/pause", "optim.lr=0.1")
    assert (code, out) == (0, "demo/coconut: ok\ndemo/pause: ok\n")
    code, _, err = call(capsys, "validate", "demo/coconut", "optim.lrr=0.1")
    assert code != 0
    assert "optim.lrr" in err


def test_the_table_of_an_evaluation_shows_the_vote_and_names_baselines():
    from latentreason_launch.tables import evaluation_rows

    control = {"label": "thought_mode=zero", "majority_at_k": {"1": 0.2, "4": 0.3}}
    summary = {
        "label": "main", "num_samples": 4, "majority_at_k": {"1": 0.5, "4": 0.75}, "sweep": [],
        "controls": [control], "baselines": [{"label": "majority", "accuracy": 0.25}],
    }  # fmt: skip
    rows = evaluation_rows(summary)
    assert [row["label"] for row in rows] == ["main", "thought_mode=zero", "baseline=majority"]
    assert [row["vote_of_4"] for row in rows] == [0.75, 0.3, None]
    assert all(len(row) == len(rows[0]) for row in rows)
    rows = evaluation_rows(summary | {"num_samples": 1})
    assert "vote_of_1" not in rows[0]


def test_train_then_generate(capsys, tmp_path):
    code, out, _ = call(capsys, "train", str(recipe_file(tmp_path)), "train.max_steps=2",
                        "optim.lr=0.02")  # fmt: skip
    assert code == 0
    assert out.splitlines()[-1].startswith("step 2: ")
    assert metrics(tmp_path / "run")[0]["lr"] == 0.02
    folder = out.splitlines()[-1].removeprefix("step 2: ")
    assert call(capsys, "generate", folder, "--prompt", QUESTION)[0] == 0


def test_generate_shows_the_thoughts(capsys, checkpoint):
    code, out, _ = call(
        capsys, "generate", str(checkpoint), "--prompt", QUESTION, "--show-thoughts"
    )
    assert code == 0
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["thought 1", "thought 2"]
    assert len(lines) == 3
    code, out, _ = call(capsys, "generate", str(checkpoint), "--prompt", QUESTION,
                        "--show-thoughts", "--num-thoughts", "4")  # fmt: skip
    assert sum(line.startswith("thought") for line in out.splitlines()) == 4


def test_generate_says_what_python_says(capsys, checkpoint):
    from latentreason import load

    expected = load(checkpoint).generate(
        [QUESTION], num_samples=3, temperature=1.0, seed=5, num_thoughts=1
    )
    code, out, _ = call(capsys, "generate", str(checkpoint), "--prompt", QUESTION, "--num-samples",
                        "3", "--temperature", "1.0", "--seed", "5", "--num-thoughts", "1")  # fmt: skip
    assert code == 0
    assert out.splitlines() == [g.text for g in expected]


def test_show_thoughts_needs_thoughts(capsys, checkpoint):
    code, out, _ = call(capsys, "generate", str(checkpoint), "--prompt", QUESTION,
                        "--show-thoughts", "--num-thoughts", "0")  # fmt: skip
    assert code == 0
    assert "thought" not in out


@pytest.fixture
def prosqa_file(tmp_path):
    """Ten generated questions in ProsQA's own schema."""
    from latentreason.config import SplitConfig
    from latentreason.data import load_split, write_examples

    path = tmp_path / "ten.json"
    write_examples(load_split(SplitConfig(generator="prosqa", size=10)), path)
    return path


@pytest.fixture(scope="module")
def reader_of_prosqa(tmp_path_factory):
    """A run whose positions hold a ProsQA question."""
    from runs import run

    return run(tmp_path_factory.mktemp("prosqa"), "model.config.n_positions=1024",
               "data.train={generator: prosqa, size: 12}", "data.valid=null",
               "model.tokenizer.vocab_size=300", "train.phases=[{stage: 2, steps: 1}]")  # fmt: skip


def test_eval_scores_a_file_of_the_benchmarks_schema(
    capsys, reader_of_prosqa, prosqa_file, tmp_path
):
    out_folder = tmp_path / "scores"
    code, out, err = call(
        capsys, "eval", str(reader_of_prosqa), "--benchmark", "prosqa", "--data", str(prosqa_file),
        "--batch-size", "4", "--limit", "6", "--max-new-tokens", "4", "--out", str(out_folder),
    )  # fmt: skip
    assert code == 0, err
    assert "accuracy" in out
    records = list(out_folder.rglob("*.jsonl"))
    assert records
    assert len(records[0].read_text().splitlines()) == 6


def test_export_writes_an_ordinary_directory(capsys, checkpoint, tmp_path):
    code, out, _ = call(capsys, "export", str(checkpoint), str(tmp_path / "plain"))
    assert (code, out.strip()) == (0, str(tmp_path / "plain"))
    config = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert config["model_type"] == "gpt2"


def test_data_check_of_one_benchmark(capsys):
    code, out, _ = call(capsys, "data", "check", "state_tracking")
    assert code == 0
    assert "state_tracking" in out


def test_the_torchrun_entry_point_trains(tmp_path):
    command = [sys.executable, "-m", "latentreason_launch.train", str(recipe_file(tmp_path)),
               "train.max_steps=1"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path / "run")) == 1


def test_a_pipe_that_closes_early_is_no_error():
    command = f"{sys.executable} -m latentreason_launch.cli ls | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True,
        env=environment(), check=False,
    )  # fmt: skip
    assert done.stdout == "methods:\n"
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_command_in_a_process_of_its_own_exits_2_on_bad_input(tmp_path):
    done = latentreason("generate", str(tmp_path / "none"), "--prompt", "a question")
    assert done.returncode == 2
    assert done.stderr.startswith("latentreason generate: ")
    assert done.stderr.count("\n") == 1
    assert "none" in done.stderr
