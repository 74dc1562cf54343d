"""A wheel, in an environment of its own and away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from runs import ROOT

LEFT_OUT = (".git", ".venv", "runs", "build", "__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: the build leaves folders behind."""
    import shutil

    copy = tmp_path_factory.mktemp("source") / "project"
    names = ("latentreason", "kernels", "eval", "launch", "recipes")
    for name in names:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
             "--no-index", "-w", str(out), str(copy)]  # fmt: skip
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    [file] = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The `bin` folder of an environment that has the wheel, and this one's dependencies."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, system_site_packages=True, with_pip=False)
    python = folder / "bin" / "python"
    script = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    found = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    site = Path(found.stdout.strip())
    site.joinpath("zz_base.pth").write_text(sysconfig.get_paths()["purelib"])
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps",
               "--no-index", str(wheel)]  # fmt: skip
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "bin"


def in_environment(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(installed / words[0]), *words[1:]], cwd=cwd, env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_the_wheel_is_small_and_holds_packages_recipes_and_tables(wheel):
    assert wheel.stat().st_size < 3_000_000
    names = zipfile.ZipFile(wheel).namelist()
    shipped = [path.relative_to(ROOT / "recipes") for path in (ROOT / "recipes").rglob("*.yaml")]
    for recipe in shipped:
        assert f"latentreason_recipes/{recipe.as_posix()}" in names
    for package, folder in (
        ("latentreason", "."), ("latentreason_kernels", "kernels"),
        ("latentreason_eval", "eval"), ("latentreason_launch", "launch"),
    ):  # fmt: skip
        source = ROOT / folder / package
        for path in [*source.rglob("*.py"), *source.rglob("*.yaml"), source / "py.typed"]:
            assert f"{package}/{path.relative_to(source).as_posix()}" in names
    assert not [name for name in names if name.split("/")[0] in ("tests", "kernels", "benchmarks")]


def test_the_command_works_away_from_the_repository(installed, tmp_path):
    where = in_environment(
        installed, tmp_path, "python", "-c", "import latentreason; print(latentreason.__file__)"
    )
    assert where.stdout.startswith(str(installed.parent)), where
    shown = in_environment(installed, tmp_path, "latentreason", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "generate" in shown.stdout
    listed = in_environment(installed, tmp_path, "latentreason", "ls")
    assert listed.returncode == 0, listed.stderr
    assert "\n  demo/coconut " in listed.stdout


def test_a_recipe_trains_by_name_from_the_wheel(installed, tmp_path):
    small = ("train.max_steps=2", "data.train.size=64", "data.valid=null", "train.log_every=1",
             "model.config.hidden_size=16", "model.config.intermediate_size=16",
             "train.batch_size=8")  # fmt: skip
    done = in_environment(installed, tmp_path, "latentreason", "train", "demo/coconut", *small)
    assert done.returncode == 0, done.stderr[-2000:]
    [run] = (tmp_path / "runs").iterdir()
    assert (run / "metrics.jsonl").read_text().count("\n") == 2
