"""The "datasets" reader on local data; nothing is fetched."""

from __future__ import annotations

import json

import pytest

from latentreason.config import SplitConfig
from latentreason.data import Example, load_split
from latentreason.errors import DataError, MissingFileError, UserError

ROWS = {"ask": ["a", "b"], "think": ["x\n y \n\n", "z"], "say": ["1", "2"]}
FIELDS = {"question": "ask", "steps": "think", "answer": "say"}


def read(source, **options) -> list[Example]:
    return load_split(
        SplitConfig(reader="datasets", file=str(source), options={**FIELDS, **options})
    )


def test_a_saved_data_set_and_a_saved_dictionary(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict(ROWS)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"test": data}).save_to_disk(tmp_path / "many")
    expected = [
        Example("a", ("x", "y"), "1", {"id": "0"}),
        Example("b", ("z",), "2", {"id": "1"}),
    ]
    assert read(tmp_path / "one") == expected
    assert read(tmp_path / "many", split="test") == expected
    assert read(tmp_path / "one", separator=None)[0].steps == ("x\n y",)
    assert read(tmp_path / "one", steps=None)[0].steps == ()
    with pytest.raises(UserError, match=r'split .*: "tets" is not known .did you mean "test"'):
        read(tmp_path / "many", split="tets")
    with pytest.raises(UserError, match="config: 'main' would be ignored"):
        read(tmp_path / "one", config="main")
    with pytest.raises(UserError, match='one:0: no field "askk"; the row has: ask, think, say'):
        read(tmp_path / "one", question="askk")


def test_a_local_file_and_a_folder_of_files(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set").mkdir()
    lines = [json.dumps({"ask": "a", "think": ["x", "y"], "say": "1"})]
    (tmp_path / "set" / "train.jsonl").write_text("\n".join(lines))
    for source in (tmp_path / "set", tmp_path / "set" / "train.jsonl"):
        assert read(source) == [Example("a", ("x", "y"), "1", {"id": "0"})]


def test_a_broken_file_and_a_split_that_is_not_there(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "train.jsonl").write_text('{"ask": "a", ')
    with pytest.raises(DataError, match=r"train.jsonl: cannot be read: JSON parse error"):
        read(tmp_path / "train.jsonl")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text('{"ask": "a", "think": "b", "say": "c"}')
    with pytest.raises(UserError, match=r'split "tets": Unknown split "tets"'):
        read(tmp_path / "set", split="tets")


def test_a_name_that_is_nowhere(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingFileError, match='reader "datasets": '):
        read(tmp_path / "nowhere")
