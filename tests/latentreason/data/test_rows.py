"""Files that cannot be read are reported with file and line."""

from __future__ import annotations

import gzip

import pytest

from latentreason.data import read_examples
from latentreason.errors import DataError

GOOD = '{"question": "q", "steps": ["s"], "answer": "a"}'
GRAPH = (
    '{"question": "q", "steps": [], "answer": "a", "idx_to_symbol": ["A", "B", "c"], '
    '"edges": [[0, 2]], "root": 0, "target": 2, "neg_target": 1}'
)


def problem(tmp_path, reader: str, text: str | bytes, name: str = "rows.json", **options) -> str:
    """Return the message without the folder."""
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    with pytest.raises(DataError) as caught:
        read_examples(reader, path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[{GOOD},\n{GOOD},\n[1]]", "rows.json:3: expected an object {...}, found list"),
        (f"[{GOOD},\n\n{{'a': 1}}]", "rows.json:3: not JSON: Expecting property name"),
        (f"[{GOOD},\n{GOOD}\n{GOOD}]", 'rows.json:3: not JSON: expected "," or "]"'),
        (f"[\n{GOOD},\n{GOOD}", 'rows.json:3: not JSON: expected "," or "]"'),
        (f"[\n{GOOD},\n]", "rows.json:3: not JSON: Expecting value"),
        (f"[{GOOD}]\n[{GOOD}]", "rows.json:2: not JSON: more text after the list's"),
        (f"[]\n\n{GOOD}", "rows.json:3: not JSON: more text after the list's"),
        (f"{GOOD}\n{'9' * 5000}", "rows.json:2: not JSON that can be read"),
        (f"[{GOOD},\n{'[' * 100_000}", "rows.json:2: not JSON that can be read"),
        (f"[\n{GOOD},\n{GOOD[:20]}", "rows.json:3: not JSON: Unterminated string"),
        (f'{GOOD}\n\n{{"question": \n', "rows.json:3: not JSON: Expecting value"),
        (f"{GOOD}\nhello\n", "rows.json:2: not JSON: Expecting value"),
        (f'[{GOOD},\n{{"question":\n "q", "steps": []}}]', 'rows.json:2: no field "answer"'),
        ('{"steps": [], "answer": "a"}', 'rows.json:1: no field "question"'),
        (GOOD.replace('"q"', "null"), 'rows.json:1: field "question" has to be text, found null'),
        (GOOD.replace('"q"', '" "'), 'rows.json:1: field "question" is empty'),
        (GOOD.replace('"a"', "NaN"), 'rows.json:1: field "answer" has to be text or a number'),
        (GOOD.replace('"a"', "true"), 'rows.json:1: field "answer" has to be text, found true'),
        (GOOD.replace('["s"]', '"s"'), 'rows.json:1: field "steps" has to be a list, found text'),
        (
            GOOD.replace('["s"]', '["s", 1]'),
            'rows.json:1: field "steps", item 1: expected text, found a whole number',
        ),
    ],
)
def test_a_broken_json_row_is_named_by_file_and_line(text, expected, tmp_path):
    assert problem(tmp_path, "json", text).startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"edges": [[0, 2]]', '"edges": [[0, 3]]', 'field "edges", item 0: [0, 3] is no pair'),
        ('"edges": [[0, 2]]', '"edges": [[0]]', 'field "edges", item 0: [0] is no pair of nodes'),
        ('"edges": [[0, 2]]', '"edges": 5', 'field "edges" has to be a list'),
        ('"root": 0', '"root": "A"', "field \"root\": 'A' is no node (0 to 2)"),
        ('"root": 0, ', "", 'field "root": None is no node (0 to 2)'),
        ('"target": 2', '"target": 0', 'field "target": 0 is the root'),
        ('"neg_target": 1', '"neg_target": 2', 'field "neg_target": 2 is the target'),
    ],
)
@pytest.mark.parametrize("reader", ["prosqa", "prosqa_symbolic"])
def test_a_broken_graph_is_named_by_file_and_line(reader, old, new, expected, tmp_path):
    text = f"[{GRAPH},\n{GRAPH.replace(old, new)}]"
    assert f"rows.json:2: {expected}" in problem(tmp_path, reader, text)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("[0]", 'field "neighbor_k" has to be an object'),
        ("{}", 'field "neighbor_k" has to be an object'),
        ('{"1": [0]}', 'field "neighbor_k" has to be an object with the keys "0" to "1"'),
        ('{"0": [0]}', 'field "neighbor_k" has to be an object with the keys "0" to "1"'),
        ('{"0": [7], "1": [2]}', 'field "neighbor_k", "0": [7] is no list of nodes'),
        ('{"0": [0], "1": []}', 'field "neighbor_k", "1": [] are not the nodes on a shortest path'),
        ('{"0": [0], "1": [1]}', 'field "neighbor_k", "1": [1] are not the nodes'),
    ],
)
def test_broken_layers_are_named_by_file_and_line(layers, expected, tmp_path):
    row = GRAPH[:-1] + f', "neighbor_k": {layers}}}'
    assert f"rows.json:1: {expected}" in problem(tmp_path, "prosqa_symbolic", f"[{row}]")


def test_a_target_out_of_reach_is_named_by_file_and_line(tmp_path):
    text = f"[{GRAPH},\n{GRAPH.replace('[[0, 2]]', '[[1, 2]]')}]"
    assert problem(tmp_path, "prosqa_symbolic", text) == (
        "rows.json:2: target 2 cannot be reached from root 0"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a question <<1=1>> #### 1", 'no "||" between question and equations'),
        ("a question||<<1=1>>", 'no "#### answer" at the end of the line'),
        ("a question||<<1=1>> #### ", 'no "#### answer" at the end of the line'),
        (" ||<<1=1>> #### 1", 'no question before "||"'),
    ],
)
def test_a_broken_line_of_gsm8k_aug_is_named(line, expected, tmp_path):
    text = f"fine||<<1+1=2>> #### 2\n\n{line}\n"
    assert problem(tmp_path, "gsm8k_aug", text, "rows.txt") == f"rows.txt:3: {expected}"


def test_other_broken_rows_are_named(tmp_path):
    gsm = '{"question": " ", "answer": "#### 3"}'
    assert problem(tmp_path, "gsm8k", gsm) == 'rows.json:1: field "question" is empty'
    gsm = '{"question": "q", "answer": "#### 3\\nand more"}'
    assert problem(tmp_path, "gsm8k", gsm).endswith('does not end in "#### n"')
    gsm = '{"question": "q", "answer": "so it is 3"}'
    assert problem(tmp_path, "gsm8k", gsm) == (
        'rows.json:1: field "answer" does not end in "#### n"'
    )
    assert problem(tmp_path, "prontoqa", f"[\n{GOOD}]") == (
        'rows.json:2: field "answer": "a" is neither "True" nor "False"'
    )
    assert "rows.txt:1: expected" in problem(
        tmp_path, "multiplication", "12 * 3 4||x #### 1", "rows.txt"
    )


def test_text_that_is_not_utf_8_is_named_by_line(tmp_path):
    broken = f"{GOOD}\n{GOOD}\n".encode() + b'{"question": "\xff"}'
    assert problem(tmp_path, "json", broken).startswith("rows.json:3: not UTF-8 text")


def test_a_cut_gzip_file_is_refused(tmp_path):
    packed = gzip.compress(f"[{GOOD}]".encode() * 50)
    assert "not a whole gzip file" in problem(tmp_path, "json", packed[:-20], "rows.json.gz")
    assert "not a whole gzip file" in problem(tmp_path, "json", b"plain", "rows.json.gz")
