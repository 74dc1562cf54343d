"""`load_split`: what a recipe may say, where files are looked for, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import latentreason.data
from latentreason.config import SplitConfig
from latentreason.data import GENERATORS, READERS, Example, load_split, read_examples
from latentreason.errors import DataError, MissingFileError, UserError

ROWS = [
    {"question": "one and one", "steps": ["1+1=2"], "answer": "2", "level": 1},
    {"question": "two and two", "steps": [], "answer": 4},
]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No data folder, an empty cache, an empty working directory."""
    monkeypatch.delenv("LATENTREASON_DATA", raising=False)
    monkeypatch.setenv("LATENTREASON_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), "utf-8")
    return path


def refused(error=UserError, root=None, **split) -> str:
    with pytest.raises(error) as caught:
        load_split(SplitConfig(**split), root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_found_by_absolute_path(tmp_path):
    examples = load_split(SplitConfig(reader="json", file=str(write(tmp_path / "rows.json"))))
    assert examples == [
        Example("one and one", ("1+1=2",), "2", {"id": "0", "level": 1}),
        Example("two and two", (), "4", {"id": "1"}),
    ]


@pytest.mark.parametrize("place", ["root", "variable", "cache", "cwd"])
def test_a_relative_path_is_found_in_every_place(place, tmp_path, monkeypatch):
    write(tmp_path / place / "set" / "rows.json")
    monkeypatch.setenv("LATENTREASON_DATA", str(tmp_path / "variable"))
    split = SplitConfig(reader="json", file="set/rows.json")
    assert len(load_split(split, str(tmp_path / "root"))) == 2


def test_data_root_comes_before_the_variable_the_cache_and_the_working_directory(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("LATENTREASON_DATA", str(tmp_path / "variable"))
    for number, place in enumerate(["cwd", "cache", "variable", "root"]):
        write(tmp_path / place / "rows.json", [{**ROWS[0], "answer": place}])
        found = load_split(SplitConfig(reader="json", file="rows.json"), str(tmp_path / "root"))
        assert found[0].answer == place, number


def test_a_missing_file_is_named_with_the_places_and_what_to_do(tmp_path):
    message = refused(
        MissingFileError, str(tmp_path), reader="prosqa", file="prosqa/prosqa_test.json"
    )
    assert "data file prosqa/prosqa_test.json: not found below" in message
    for words in (str(tmp_path), str(tmp_path / "cache"), "`latentreason data get prosqa`"):
        assert words in message
    assert "data.root=FOLDER or LATENTREASON_DATA" in message
    assert isinstance(MissingFileError(""), FileNotFoundError)


def test_a_folder_is_no_file(tmp_path):
    assert "is a folder" in refused(MissingFileError, reader="json", file=str(tmp_path))


def test_exactly_one_of_reader_and_generator():
    assert "set exactly one" in refused()
    assert "set exactly one" in refused(reader="json", generator="prosqa")


def test_misspelt_names_and_options_come_with_the_nearest():
    assert 'reader: "prosqaa" is not known (did you mean "prosqa"?)' in refused(
        reader="prosqaa", file="x"
    )
    assert 'generator: "state_traking" is not known (did you mean "state_tracking"?)' in refused(
        generator="state_traking", size=1
    )
    assert '"stepz" is not known (did you mean "steps"?); allowed: question, steps' in refused(
        reader="json", file="x", options={"stepz": "a"}
    )
    assert 'options of generator "prosqa": "debiasd" is not known (did you mean "debiased"?)' in (
        refused(generator="prosqa", size=1, options={"debiasd": True})
    )
    assert 'options of reader "prosqa": "x" is not known; allowed: it has none' in refused(
        reader="prosqa", file="x", options={"x": 1}
    )


def test_what_would_be_ignored_is_refused(tmp_path):
    file = str(write(tmp_path / "rows.json"))
    assert "would be ignored" in refused(generator="prosqa", size=1, file=file)
    assert "would be ignored" in refused(reader="json", file=file, seed=3)
    assert "needs size" in refused(generator="prosqa")
    assert "needs file" in refused(reader="json")
    assert "size: 0 has to be at least 1" in refused(reader="json", file=file, size=0)


def test_size_limits_what_is_read(tmp_path):
    file = str(write(tmp_path / "rows.json"))
    assert len(load_split(SplitConfig(reader="json", file=file, size=1))) == 1
    assert len(load_split(SplitConfig(reader="json", file=file, size=9))) == 2


@pytest.mark.parametrize("text", ["", "[]", "\n\n", " [ ] "])
def test_an_empty_file_holds_no_examples(text, tmp_path):
    (tmp_path / "empty.json").write_text(text)
    message = refused(DataError, reader="json", file=str(tmp_path / "empty.json"))
    assert message == f"{tmp_path / 'empty.json'}: holds no examples"


def test_ids_have_to_differ(tmp_path):
    file = write(tmp_path / "rows.json", [{**row, "id": "same"} for row in ROWS])
    assert 'examples 0 and 1 have the same id "same"' in refused(
        DataError, reader="json", file=str(file)
    )


def test_read_examples_takes_options_by_name(tmp_path):
    file = write(tmp_path / "rows.json", [{"q": "a", "a": "b", "key": "k7"}])
    examples = read_examples("json", file, question="q", answer="a", steps=None, id="key")
    assert examples == [Example("a", (), "b", {"id": "k7"})]


def test_every_reader_and_generator_describes_itself():
    for name, source in {**READERS, **GENERATORS}.items():
        assert source.name == name or name in READERS
        assert 10 < len(source.summary) < 100
        assert "\n" not in source.summary
        assert "Options of" in source.options.__doc__ or not source.options.__dataclass_fields__


def test_the_data_package_is_light():
    code = "import sys, latentreason.data; print(*sys.modules)"
    root = Path(latentreason.data.__file__).parents[2]
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ).stdout.split()
    heavy = {"torch", "transformers", "datasets", "pooch", "requests", "numpy", "scipy"}
    assert "latentreason.data" in loaded
    assert not heavy & set(loaded)
