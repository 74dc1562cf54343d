"""The house of four floors: imports go down only, and only the registry knows methods by name."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import ROOT, environment
from transformers.utils import import_utils

FLOORS = {
    "latentreason_kernels": ROOT / "kernels" / "latentreason_kernels",
    "latentreason": ROOT / "latentreason",
    "latentreason_eval": ROOT / "eval" / "latentreason_eval",
    "latentreason_launch": ROOT / "launch" / "latentreason_launch",
}
"""From the lowest to the highest."""

SHARED_WORDS = {"text"}
"""Folders of methods whose name is an ordinary word."""


def modules(package: str) -> list[Path]:
    found = sorted(FLOORS[package].rglob("*.py"))
    assert found, f"{package} has no modules"
    return found


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every absolute import, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant):
                yield node.lineno, str(name.value).split(".")[0]


@pytest.mark.parametrize("package", FLOORS)
def test_imports_go_down_only(package):
    names = list(FLOORS)
    above = set(names[names.index(package) + 1 :])
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")))
        if name in above
    ]
    assert not found


def words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of every identifier and string that is not a docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node.lineno, node.value
        elif isinstance(node, ast.alias):
            yield node.lineno, node.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
        else:
            for field in ("id", "attr", "name", "arg"):
                value = getattr(node, field, None)
                if isinstance(value, str):
                    yield getattr(node, "lineno", 0), value


def test_only_the_registry_and_the_methods_themselves_name_a_method():
    library = FLOORS["latentreason"]
    folders = {
        path.parent.name for path in (library / "methods").glob("*/__init__.py")
    } - SHARED_WORDS
    assert folders
    found = []
    for path in modules("latentreason"):
        if "methods" in path.relative_to(library).parts or path.name == "registry.py":
            continue
        for line, text in words(ast.parse(path.read_text(encoding="utf-8"))):
            # A bare statement is a docstring of an attribute.
            if any(name in text.lower() for name in folders) and not documents(path, line):
                found.append(f"{path.relative_to(ROOT)}:{line}: {text[:60]}")
    assert not found


def documents(path: Path, line: int) -> bool:
    """Whether a string that stands alone begins in this line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.lineno == line
        for node in ast.walk(tree)
    )


def test_containers_are_not_packages():
    for name in ("kernels", "eval", "launch"):
        assert not (ROOT / name / "__init__.py").exists()


def test_transformers_imports_from_here_beside_a_distribution_called_kernels(tmp_path):
    """`kernels/` of this repository must not shadow the PyPI package that transformers imports."""
    site = tmp_path / "site"
    (site / "kernels").mkdir(parents=True)
    (site / "kernels" / "__init__.py").write_text(
        "MARK = 'stub'\n"
        "class _Any:\n"
        "    def __init__(self, *args, **kwargs): pass\n"
        "    def __call__(self, *args, **kwargs): return args[0] if args else self\n"
        "def __getattr__(name):\n"
        "    if name.startswith('__'): raise AttributeError(name)\n"
        "    return _Any\n"
    )
    # A version that this transformers accepts.
    version = getattr(import_utils, "KERNELS_MIN_VERSION", "0.18.2")
    info = site / f"kernels-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: kernels\nVersion: {version}\n")
    (info / "RECORD").write_text("")
    script = (
        f"import sys; sys.path.append({str(site)!r})\n"
        "import kernels; assert kernels.MARK == 'stub', kernels.__path__\n"
        "from transformers.utils.import_utils import is_kernels_available\n"
        "assert is_kernels_available()\n"
        "from transformers import AutoModelForCausalLM, GPT2LMHeadModel\n"
        "import latentreason.modeling, latentreason_kernels\n"
        "print('imported')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False,
        env=environment(),
    )  # fmt: skip
    assert done.stdout.strip().endswith("imported"), done.stderr[-2000:]
