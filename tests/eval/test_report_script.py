"""The sample browser's script, run by node on a stand-in for the page: it unpacks and filters."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from latentreason_eval.report.template import SCRIPT

NODE = shutil.which("node")
PAGE = """
const make = () => ({value: "", textContent: "", children: [], listeners: {},
  add(option) { this.children.push(option.value); },
  append(...nodes) { this.children.push(...nodes); },
  replaceChildren(...nodes) { this.children = nodes; },
  insertRow() { const row = make(); this.children.push(row); return row; },
  insertCell() { const cell = make(); this.children.push(cell); return cell; },
  addEventListener(name, call) { this.listeners[name] = call; }});
const elements = {};
globalThis.document = {
  getElementById: id => elements[id] ??= make(), createElement: () => make()};
globalThis.Option = class { constructor(text, value) { this.value = value; } };
document.getElementById("samples").textContent = SAMPLES;
SCRIPT
const shown = () => elements.browser.children[0].children.slice(1)
  .map(line => line.children.map(cell => String(cell.children[0].textContent)));
const states = [];
const state = () => states.push({count: elements.count.textContent, rows: shown()});
const set = (id, value) => { elements[id].value = value; elements[id].listeners.input(); state(); };
state();
set("verdict", "wrong");
set("verdict", "");
set("condition", "zero");
set("search", "q1");
set("search", "");
elements.next.listeners.click();
state();
console.log(JSON.stringify(states));
"""


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_samples_are_unpacked_filtered_and_paged():
    ids = [f"q{n}" for n in range(30)]
    verdicts = ["right" if n % 3 else "wrong" for n in range(30)]
    groups: list[dict[str, Any]] = [
        {"run": "a", "condition": "main", "columns": {"id": ids, "verdict": verdicts}},
        {
            "run": "a",
            "condition": "zero",
            "columns": {"id": {"same": 0}, "verdict": {"all": "no answer", "count": 30}},
        },
    ]
    script = PAGE.replace("SAMPLES", json.dumps(json.dumps(groups))).replace("SCRIPT", SCRIPT)
    assert NODE is not None
    done = subprocess.run([NODE, "-e", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, wrong, _, zero, searched, _, paged = json.loads(done.stdout)
    assert first["count"] == "1-25 of 30, 20 right"
    assert first["rows"][1] == ["a", "main", "q1", "right"]
    assert [row[2] for row in wrong["rows"]] == [f"q{n}" for n in range(0, 30, 3)]
    assert zero["rows"][0] == ["a", "zero", "q0", "no answer"]
    assert [row[2] for row in searched["rows"]] == ["q1", *(f"q{n}" for n in range(10, 20))]
    assert paged["count"] == "26-30 of 30, 0 right"
