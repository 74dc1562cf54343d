"""Every checkpoint carries a model card, and the hub gets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import yaml
from runs import latentreason as command
from runs import recipe_file, run

import latentreason


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder of eleven steps."""
    return run(tmp_path_factory.mktemp("card"), "eval.limit=2")


def card_of(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    front = re.match(r"---\n(.*?)---\n", text, re.DOTALL)
    assert front is not None
    return yaml.safe_load(front[1]), text


def summary(folder, checkpoint, **more):
    row = {"kind": "main", "benchmark": "state_tracking", "split": "test", "accuracy": 0.875,
           "ci_low": 0.85, "ci_high": 0.9, "n": 500, "tokens": 2.0, "thoughts": 2.0,
           "command": "latentreason eval X", "checkpoint": str(checkpoint), **more}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(row), encoding="utf-8")


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


def test_results_beside_a_checkpoint_are_listed_and_others_are_not(folder, tmp_path):
    last = folder / "last"
    summary(folder / "eval", folder)
    summary(folder / "more", last, benchmark="other", accuracy=0.5)
    summary(folder / "eval" / "thought_mode=zero", folder, kind="control", accuracy=0.1)
    summary(folder / "foreign", tmp_path / "elsewhere", benchmark="foreign")
    (folder / "broken").mkdir()
    (folder / "broken" / "summary.json").write_text("[]")
    latentreason.load(folder).save_pretrained(tmp_path / "copy")
    metadata, text = card_of(tmp_path / "copy")
    found = {
        r["dataset"]["name"]: r["metrics"][0]["value"]
        for r in metadata["model-index"][0]["results"]
    }
    assert found == {"state_tracking": 87.5, "other": 50.0}
    assert "| state_tracking | test | normal | 0.875 | 0.85 | 0.9 | 500 | 2 | 2 |" in text
    assert "`latentreason eval X`" in text


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

    def upload_folder(self, *, repo_id, folder_path, revision, commit_message, create_pr):
        files = {str(p.relative_to(folder_path)): p.read_bytes()
                 for p in Path(folder_path).rglob("*") if p.is_file()}  # fmt: skip
        self.calls.append(("upload", repo_id, files, revision, create_pr))
        return SimpleNamespace(commit_url="https://hub/commit")


def test_push_to_hub_uploads_weights_tokenizer_and_our_card(folder, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(Hub, "calls", [])
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    url = latentreason.load(folder).push_to_hub("model", private=True, token="secret")
    assert url == "https://hub/commit"
    token, create, upload = Hub.calls
    assert token == ("token", "secret")
    assert create == ("create", "model", True, True)
    assert upload[:2] == ("upload", "me/model")
    files = upload[2]
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    assert b"library_name: latentreason" in files["README.md"]
    assert json.loads(files["config.json"])["format_version"] == 1
