"""The code blocks of README and docs run as they stand.

A page's `python` and `bash` blocks run in order, in one empty folder and (python) one namespace, so that
a page has to make what it uses. Of `bash` blocks, `latentreason ...` lines run, in this process. A block is
left out only where `<!-- not run: reason -->` stands above it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import pytest
from runs import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")
)]  # fmt: skip
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.M | re.S,
)


@dataclass
class Block:
    """One code block; `reason` says why it is not run."""

    line: int
    language: str
    code: str
    reason: str | None


def blocks(page: str) -> list[Block]:
    path = ROOT / page
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [
        Block(
            text.count("\n", 0, match.start("language")) + 1,
            match["language"],
            match["code"],
            match["reason"],
        )
        for match in BLOCK.finditer(text)
    ]


def commands(code: str) -> list[str]:
    """The lines of a shell block without comments, continued lines joined."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("page", [page for page in PAGES if (ROOT / page).is_file()])
def test_code_blocks_run(page, tmp_path, monkeypatch, capsys):
    from latentreason_launch.cli import main

    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "docs"}
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.language == "python":
            exec(compile(block.code, f"{page}:{block.line}", "exec"), namespace)
        elif block.language in ("bash", "sh", "shell"):
            for command in commands(block.code):
                program, *words = shlex.split(command, comments=True)
                assert program == "latentreason", f"{page}:{block.line}: cannot run {command!r}"
                try:
                    code = main(words)
                except SystemExit as leave:
                    code = leave.code
                said = capsys.readouterr().err
                assert code == 0, f"{page}:{block.line}: {command}: {said[-500:]}"


def test_the_readme_has_blocks_that_run():
    run = [block.language for block in blocks("README.md") if block.reason is None]
    assert run.count("python") >= 2
    assert run.count("bash") >= 2


def test_blocks_are_found_with_their_reasons(tmp_path, monkeypatch):
    text = "a\n\n```python\nx = 1\n```\n\n<!-- not run: slow -->\n\n```bash\nmake demo\n```\n"
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    found = [(b.line, b.language, b.code, b.reason) for b in blocks("page.md")]
    assert found == [(3, "python", "x = 1\n", None), (9, "bash", "make demo\n", "slow")]


def test_pages_link_to_files_that_exist():
    for page in PAGES:
        path = ROOT / page
        if not path.is_file():
            continue
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
            assert (path.parent / target).exists(), f"{page} links to {target}"
