"""Every checkpoint carries a model card, and the hub gets it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
import yaml
from runs import latentreason as command
from runs import recipe_file, run

import latentreason
from latentreason import card
from latentreason.card import record_result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder of eleven steps."""
    return run(tmp_path_factory.mktemp("card"), "eval.limit=2")


def card_of(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    front = re.match(r"---\n(.*?)---\n", text, re.DOTALL)
    assert front is not None
    return yaml.safe_load(front[1]), text


def result(**more):
    """A row as the evaluator writes it, of the checkpoints of `folder` asked as they are."""
    return {"kind": "main", "benchmark": "state_tracking", "split": "test", "data": "abc",
            "rule": "number", "accuracy": 0.875, "ci_low": 0.85, "ci_high": 0.9, "n": 500,
            "questions": 500, "tokens": 2.0, "thoughts": 2.0, "command": "latentreason eval X",
            "thought_mode": "normal", "num_thoughts": 2, "num_steps": None, "num_samples": 1,
            "temperature": 0.0, "top_p": 1.0, "max_new_tokens": None, **more}  # fmt: skip


def indexed(folder):
    """(benchmark, split): accuracy, as the metadata says."""
    entries = card_of(folder)[0].get("model-index", [{"results": []}])[0]["results"]
    return {(e["dataset"]["name"], e["dataset"]["split"]): e["metrics"][0]["value"]
            for e in entries}  # fmt: skip


@pytest.fixture
def checkpoint(folder, tmp_path):
    """A checkpoint of its own for a test that writes into it."""
    return Path(shutil.copytree(folder / "last", tmp_path / "checkpoint"))


def test_every_saved_checkpoint_has_method_data_and_commit(folder):
    checkpoints = list((folder / "checkpoints").iterdir())
    assert checkpoints
    for checkpoint in checkpoints:
        metadata, text = card_of(checkpoint)
        assert metadata["library_name"] == "latentreason"
        assert metadata["pipeline_tag"] == "text-generation"
        assert metadata["tags"] == ["latent-reasoning", "coconut"]
        assert "base_model" not in metadata
        assert "model-index" not in metadata
        assert "generator state_tracking, seed 0, 37 examples, num_states 3" in text
        assert re.search(r"\| commit of latentreason \| [0-9a-f]{40} \|", text)
        assert "Not evaluated yet" in text


def test_the_command_is_the_one_that_trained(tmp_path):
    path = recipe_file(tmp_path, "train.phases=[{stage: 0, steps: 1}]")
    done = command("train", str(path), "optim.lr=0.5")
    assert done.returncode == 0, done.stderr
    _, text = card_of(tmp_path / "run" / "last")
    assert f"`latentreason train {path} optim.lr=0.5`" in text


def test_a_result_is_listed_and_goes_with_the_same_weights(checkpoint, tmp_path):
    record_result(checkpoint, result(controls=[{"accuracy": 0.1}]))
    record_result(checkpoint, result(split="valid", accuracy=0.5))
    latentreason.load(checkpoint).save_pretrained(tmp_path / "copy")
    latentreason.load(tmp_path / "copy").save_pretrained(tmp_path / "copy of the copy")
    for place in (checkpoint, tmp_path / "copy", tmp_path / "copy of the copy"):
        assert indexed(place) == {("state_tracking", "test"): 87.5, ("state_tracking", "valid"): 50}
        _, text = card_of(place)
        line = "| state_tracking | test | number | normal | 0.875 | 0.85 | 0.9 | 500 | 2 | 2 |"
        assert line in text
        assert text.count("`latentreason eval X`") == 1


def test_other_weights_do_not_inherit_a_result(checkpoint, tmp_path):
    record_result(checkpoint, result())
    model = latentreason.load(checkpoint)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    model.save_pretrained(tmp_path / "trained on")
    model.save_pretrained(checkpoint)
    for place in (tmp_path / "trained on", checkpoint):
        assert "Not evaluated yet" in card_of(place)[1]
        assert indexed(place) == {}


@pytest.mark.parametrize(
    ("setting", "mode"),
    [
        ({"thought_mode": "zero"}, "zero"),
        ({"num_thoughts": 5}, "normal, num_thoughts 5"),
        ({"gold_num_thoughts": True}, "normal, as many thoughts as gold steps"),
        ({"num_samples": 4, "temperature": 0.7, "top_p": 0.9},
         "normal, 4 samples at temperature 0.7, top_p 0.9"),
        ({"max_new_tokens": 1}, "normal, max_new_tokens 1"),
        ({"num_steps": 9}, "normal, num_steps 9"),
        ({"template_hash": "ab"}, "normal, another prompt"),
    ],
)  # fmt: skip
def test_what_was_asked_in_another_way_is_named_and_no_metadata(checkpoint, setting, mode):
    record_result(checkpoint, result(**setting, accuracy=0.1))
    assert f"| state_tracking | test | number | {mode} | 0.1 |" in card_of(checkpoint)[1]
    assert indexed(checkpoint) == {}
    record_result(checkpoint, result())
    assert f"| {mode} | 0.1 |" in card_of(checkpoint)[1]
    assert indexed(checkpoint) == {("state_tracking", "test"): 87.5}


def test_the_last_result_of_a_kind_is_listed_but_a_part_replaces_no_whole(checkpoint):
    record_result(checkpoint, result(accuracy=0.25, n=20))
    metric = card_of(checkpoint)[0]["model-index"][0]["results"][0]["metrics"][0]
    assert (metric["value"], metric["name"]) == (25, "accuracy (n = 20 of 500)")
    assert metric["args"] == {"n": 20, "rule": "number"}
    assert "| 20 of 500 |" in card_of(checkpoint)[1]
    for accuracy, n in ((0.5, 500), (0.75, 500), (1.0, 20)):
        record_result(checkpoint, result(accuracy=accuracy, n=n))
    assert indexed(checkpoint) == {("state_tracking", "test"): 75}
    assert card_of(checkpoint)[1].count("| state_tracking |") == 1


@pytest.mark.parametrize("edited", [True, False])
def test_a_readme_that_is_not_ours_is_left_alone(checkpoint, tmp_path, edited):
    readme = checkpoint / "README.md"
    own = readme.read_text().replace("## Use", "## How to use it") if edited else "My notes.\n"
    readme.write_text(own)
    record_result(checkpoint, result())
    model = latentreason.load(checkpoint)
    model.save_pretrained(checkpoint)
    assert readme.read_text() == own
    model.save_pretrained(tmp_path / "copy")
    assert indexed(tmp_path / "copy") == {("state_tracking", "test"): 87.5}


def test_a_link_is_replaced_and_what_it_names_stays(checkpoint, tmp_path):
    blob = tmp_path / "blob"
    (checkpoint / "README.md").rename(blob)
    (checkpoint / "README.md").symlink_to(blob)
    record_result(checkpoint, result())
    assert indexed(checkpoint)
    assert "Not evaluated yet" in blob.read_text()


def test_a_folder_that_cannot_be_written_costs_a_warning(checkpoint, monkeypatch, caplog):
    before = sorted(path.name for path in checkpoint.iterdir())
    monkeypatch.setattr(
        Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(30, "x"))
    )
    record_result(checkpoint, result())
    assert "cannot be written" in caplog.text
    assert sorted(path.name for path in checkpoint.iterdir()) == before


@pytest.mark.parametrize("content", ["{}", "[[]]", "not JSON", '[{"accuracy": 1}]'])
def test_another_program_s_file_is_no_result(checkpoint, tmp_path, content):
    (checkpoint / "evaluations.json").write_text(content)
    latentreason.load(checkpoint).save_pretrained(tmp_path / "copy")
    assert "Not evaluated yet" in card_of(tmp_path / "copy")[1]


def repository(path, *tracked):
    """A git repository of one commit."""
    git = ["git", "-C", str(path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", *map(str, tracked)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    found = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return found.stdout.strip()


@pytest.mark.parametrize(
    ("place", "tracked", "known"),
    [
        ("latentreason", True, True),
        (".venv/lib/site-packages/latentreason", False, False),
        ("latentreason", False, False),
        ("third_party/latentreason/latentreason", True, False),
    ],
)
def test_the_commit_is_that_of_the_code_s_own_repository(
    tmp_path, monkeypatch, place, tracked, known
):
    file = tmp_path / place / "card.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    commit = repository(tmp_path, *([file] if tracked else []))
    monkeypatch.setattr(card, "__file__", str(file))
    assert card.git_commit() == (commit if known else None)


def test_without_git_or_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "__file__", str(tmp_path / "latentreason" / "card.py"))
    assert card.git_commit() is None
    monkeypatch.setenv("PATH", "")
    assert card.git_commit() is None


def test_saving_a_loaded_checkpoint_keeps_where_it_came_from(folder, tmp_path):
    latentreason.load(folder).save_pretrained(tmp_path / "copy")
    assert "generator state_tracking" in card_of(tmp_path / "copy")[1]


class Hub:
    """A stub of huggingface_hub.HfApi that keeps what is uploaded."""

    calls: ClassVar[list] = []

    def __init__(self, token=None):
        self.calls.append(("token", token))

    def create_repo(self, repo_id, private=None, exist_ok=False):
        self.calls.append(("create", repo_id, private, exist_ok))
        return SimpleNamespace(repo_id=f"me/{repo_id}")

    def create_branch(self, repo_id, *, branch, exist_ok=False):
        self.calls.append(("branch", repo_id, branch, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, revision, commit_message, create_pr):
        files = {str(p.relative_to(folder_path)): p.read_bytes()
                 for p in Path(folder_path).rglob("*") if p.is_file()}  # fmt: skip
        self.calls.append(("upload", repo_id, files, revision, create_pr))
        return SimpleNamespace(commit_url="https://hub/commit")


@pytest.fixture
def hub(monkeypatch):
    """What the stub was asked to do."""
    import huggingface_hub

    monkeypatch.setattr(Hub, "calls", [])
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return Hub.calls


def test_push_to_hub_uploads_weights_tokenizer_and_our_card(folder, hub, caplog):
    url = latentreason.load(folder).push_to_hub("model", private=True, token="secret")
    assert url == "https://hub/commit"
    token, create, upload = hub
    assert token == ("token", "secret")
    assert create == ("create", "model", True, True)
    assert upload[:2] == ("upload", "me/model")
    files = upload[2]
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    assert b"library_name: latentreason" in files["README.md"]
    assert json.loads(files["config.json"])["format_version"] == 1
    assert "needs base model" not in caplog.text


def test_a_branch_is_made_before_it_is_written(folder, hub):
    latentreason.load(folder).push_to_hub("model", revision="v1")
    assert hub[2] == ("branch", "me/model", "v1", True)
    assert hub[3][3] == "v1"
    hub.clear()
    latentreason.load(folder).push_to_hub("model", revision="v1", create_pr=True)
    assert [call[0] for call in hub] == ["token", "create", "upload"]


def test_an_edited_card_is_uploaded_with_its_weights_only(checkpoint, hub, caplog):
    readme = checkpoint / "README.md"
    readme.write_text("My notes.\n")
    model = latentreason.load(checkpoint)
    model.push_to_hub("model")
    assert hub[-1][2]["README.md"] == b"My notes.\n"
    assert not caplog.text
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1)
    model.push_to_hub("model")
    assert b"library_name: latentreason" in hub[-1][2]["README.md"]
    assert "is a card of other weights" in caplog.text


def test_adapters_on_a_local_base_are_uploaded_with_a_warning(folder, hub, tmp_path, caplog):
    base = str((folder / "last").resolve())
    adapted = run(tmp_path, f"model.name={base}", "model.config={}", "model.lora.rank=2",
                  "train.max_steps=1")  # fmt: skip
    latentreason.load(adapted).push_to_hub("model")
    assert f"model needs base model {base}, a folder of this machine" in caplog.text
    assert not [name for name in hub[-1][2] if name.endswith("adapter/README.md")]


def test_transformers_own_upload_is_refused_since_it_comes_before_the_card(folder, tmp_path):
    with pytest.raises(latentreason.UserError, match="push_to_hub: call the model's own"):
        latentreason.load(folder).save_pretrained(tmp_path / "out", push_to_hub=True)
    assert not (tmp_path / "out").exists()
