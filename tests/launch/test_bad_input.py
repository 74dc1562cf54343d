"""Bad input: exit code 2, one line on stderr that names what was wrong, no traceback."""

from __future__ import annotations

import json
import re

import pytest
from runs import recipe_file, run

from latentreason_launch.cli import main

QUESTION = "1 a0to1 a1to2 a2to0"
BROKEN = '[{"question": "a", "steps": ["b"], "answer": "c"},\n {"question": 3}]\n'


@pytest.fixture
def said(capsys):
    """Run a command that has to fail; return its one line."""

    def run_command(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as leave:
            code = leave.code
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("latentreason")]
        assert code == 2, err
        assert "Traceback" not in err
        assert len(lines) == 1, err
        assert err.splitlines()[-1] == lines[0], "nothing comes after it"
        return lines[0]

    return run_command


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("no_such_command",), "no_such_command"),
        ((), "COMMAND"),
        (("train",), "recipe"),
        (("train", "recipes/does-not-exist.yaml"), "does-not-exist"),
        (("train", "demo/coconut", "optim.lrr=1"), "lrr.*optim.lr"),
        (("train", "demo/coconut", "optim.lr"), "key=value"),
        (("train", "demo/coconot"), "demo/coconut"),
        (("validate", "FOLDER/none.yaml"), "none.yaml"),
        (("validate", "FOLDER/broken.yaml"), "broken.yaml:2"),
        (("generate", "FOLDER/none", "--prompt", "a"), "none"),
        (("generate", "FOLDER", "--prompt", "a"), "FOLDER"),
        (("generate", "FOLDER/none"), "--prompt"),
        (("eval", "FOLDER", "--benchmark", "prosqa", "--out", "FOLDER/o"), "FOLDER"),
        (("eval", "FOLDER/none", "--benchmark", "prosq", "--out", "FOLDER/o"), "prosqa|none"),
        (("data", "get", "no_such_benchmark"), "no_such_benchmark"),
        (("data", "get", "prosq"), "prosqa"),
        (("data", "check"), "--all"),
        (("data", "check", "no_such_benchmark"), "no_such_benchmark"),
        (("ls", "cats"), "cats"),
        (("export", "FOLDER/none", "FOLDER/o"), "none"),
        (("mask", "--layout", "none", "--out", "FOLDER/o.png"), "none"),
    ],
)
def test_before_any_checkpoint(said, tmp_path, words, named):
    (tmp_path / "broken.yaml").write_text("model: [1, 2\n")
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert re.search(named.replace("FOLDER", re.escape(str(tmp_path))), said(*words), re.I)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--prompt", ""), "prompt"),
        (("--prompt", QUESTION, "--num-thoughts", "100000"), "position"),
        (("--prompt", QUESTION, "--num-thoughts", "-1"), "num_thoughts"),
        (("--prompt", QUESTION, "--num-thoughts", "two"), "num-thoughts"),
        (("--prompt", QUESTION, "--thought-mode", "dream"), "thought_mode"),
        (("--prompt", QUESTION, "--thought-mode", "shuffle"), "donors"),
        (("--prompt", QUESTION, "--temperature", "-1"), "temperature"),
        (("--prompt", QUESTION, "--top-p", "0"), "top_p"),
        (("--prompt", QUESTION, "--num-samples", "0"), "num_samples"),
        (("--prompt", QUESTION, "--max-new-tokens", "0"), "max_new_tokens"),
        (("--prompt", QUESTION, "--device", "abacus"), "device"),
    ],
)
def test_generate(said, checkpoint, words, named):
    assert re.search(named, said("generate", checkpoint, *words), re.I)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--data", "FOLDER/broken.json"), r"broken\.json:1"),
        (("--data", "FOLDER/empty.json"), r"empty\.json"),
        (("--data", "FOLDER/nowhere.json"), r"nowhere\.json"),
        (("--data", "FOLDER/good.json", "--batch-size", "0"), "batch"),
        (("--data", "FOLDER/good.json", "--thought-mode", "dream"), "mode"),
        (("--data", "FOLDER/good.json", "--limit", "0"), "limit"),
        (("--data", "FOLDER/good.json", "--num-thoughts", "100000"), "position"),
        (("--data", "FOLDER/good.json", "--num-samples", "0"), "num_samples"),
        (("--data", "FOLDER/good.json", "--split", "moon"), "split"),
        (("--data", "FOLDER/good.json", "--dtype", "float9"), "dtype"),
    ],
)
def test_eval(said, checkpoint, tmp_path, words, named):
    from latentreason.config import SplitConfig
    from latentreason.data import load_split, write_examples

    (tmp_path / "broken.json").write_text(BROKEN)
    (tmp_path / "empty.json").write_text("")
    write_examples(load_split(SplitConfig(generator="prosqa", size=2)), tmp_path / "good.json")
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    line = said("eval", checkpoint, "--benchmark", "prosqa", "--out", tmp_path / "o", *words)
    assert re.search(named, line, re.I)


def test_export_of_an_ordinary_model(said, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    assert "plain" in said("export", plain, tmp_path / "o")


def test_a_broken_checkpoint(said, checkpoint, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(checkpoint / "last", broken)
    (broken / "model.safetensors").write_bytes(b"not weights")
    assert "broken" in said("generate", broken, "--prompt", QUESTION)
    (broken / "model.safetensors").unlink()
    assert "broken" in said("generate", broken, "--prompt", QUESTION)
    (broken / "config.json").write_text("{")
    assert "broken" in said("generate", broken, "--prompt", QUESTION)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("data.train={reader: json, file: FOLDER/rows.json}",), r"rows\.json:2"),
        (("data.train={reader: json, file: FOLDER/nowhere.json}",), r"nowhere\.json"),
        (("model.name=FOLDER/nowhere", "model.config={}"), "nowhere"),
        (("model.config.n_positions=8",), "position"),
        (("method.thoughts_per_step=40", "train.phases=[{stage: 2, steps: 2}]"), "position"),
        (("train.micro_batch_size=3",), "micro_batch_size"),
        (("train.strategy=deepspeed", "train.deepspeed=FOLDER/none.json"), r"none\.json"),
    ],
)
def test_train(said, tmp_path, words, named):
    (tmp_path / "rows.json").write_text(BROKEN)
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    assert re.search(named, said("train", recipe_file(tmp_path, *words)), re.I)


def test_train_into_the_run_of_another_method(said, tmp_path):
    run(tmp_path, "train.max_steps=1", method="cot")
    assert "begun with name: 'cot'" in said("train", recipe_file(tmp_path))
