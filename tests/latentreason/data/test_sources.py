"""The shipped table of official addresses."""

from __future__ import annotations

import hashlib
from pathlib import Path

from latentreason.data.sources import SourceFile, load_table, source_of, sources


def test_the_shipped_table_is_sound():
    listed = sources()
    for name, source in listed.items():
        assert source.licence, name
        assert source.files or source.note, name
        for file in source.files:
            assert file.url.startswith("https://")
            assert not Path(file.path).is_absolute()
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
    paths = [file.path for source in listed.values() for file in source.files]
    assert len(paths) == len(set(paths))
    assert source_of("prosqa/prosqa_test.json") == "prosqa"
    assert source_of("gsm8k_icot/train.txt") == "gsm8k_aug"
    assert source_of("nothing/of/ours.txt") is None


def test_hashes_of_the_table_are_those_of_the_files(official):
    for source in sources().values():
        for file in source.files:
            if file.sha256 and Path(file.path).parts[0] in ("prosqa", "prosqa_symbolic", "gsm8k"):
                data = official(file.path).read_bytes()
                assert hashlib.sha256(data).hexdigest() == file.sha256


def test_a_table_joins_base_and_url():
    text = "toy:\n  licence: MIT\n  base: http://x/\n  files:\n    - {path: a/b.txt, url: b.txt}\n"
    assert load_table(text)["toy"].files == (SourceFile("a/b.txt", "http://x/b.txt"),)
