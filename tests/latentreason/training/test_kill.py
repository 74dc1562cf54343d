"""A real `latentreason train` process is killed in mid-epoch and goes on as if nothing had been."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from runs import (
    assert_same_run,
    command,
    environment,
    latentreason,
    recipe_file,
    run,
    weights,
)

# 150 steps of an epoch: long enough to be caught in the middle of.
LONG = ("data.train.size=600", "data.train.options.num_states=4", "train.batch_size=4",
        "model.config.resid_pdrop=0.1", "model.config.embd_pdrop=0.1", "optim.warmup=50",
        "optim.schedule=cosine", "train.phases=[{stage: 1, steps: 20}, {stage: 2, epochs: 1.2}]",
        "data.valid=null", "train.save_every=40")  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """The same run without a kill, in this process."""
    return run(tmp_path_factory.mktemp("whole"), *LONG)


def kill_after(root: Path, step: int, number: signal.Signals) -> tuple[int, int, str]:
    """Start a run, signal it once it has logged `step`; (exit code, last logged step, stderr)."""
    with (root / "err").open("w") as err:
        child = subprocess.Popen(
            command("train", str(recipe_file(root, *LONG))),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        log, deadline = root / "run" / "metrics.jsonl", time.monotonic() + 120
        try:
            while child.poll() is None and time.monotonic() < deadline:
                if log.is_file() and log.read_text().count("\n") >= step:
                    break
                time.sleep(0.005)
            assert child.poll() is None, (root / "err").read_text()
            child.send_signal(number)
            code = child.wait(60)
        finally:
            child.kill()
    lines = log.read_text().count("\n")
    return code, lines, (root / "err").read_text()


def checkpoints(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "run" / "checkpoints").iterdir())


def test_sigterm_saves_exits_0_and_the_resumed_run_is_bit_equal(tmp_path, uninterrupted):
    code, last, err = kill_after(tmp_path, 61, signal.SIGTERM)
    assert code == 0, err
    assert "Traceback" not in err
    assert 61 <= last < 199, "the signal has to fall into the epoch"
    assert checkpoints(tmp_path) == [f"step-{last:08d}"]
    done = latentreason("train", str(tmp_path / "recipe.yaml"))
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", uninterrupted)


def test_kill_9_goes_on_from_the_last_complete_checkpoint(tmp_path, uninterrupted):
    code, _, _ = kill_after(tmp_path, 95, signal.SIGKILL)
    assert code == -signal.SIGKILL
    complete = [name for name in checkpoints(tmp_path) if not name.endswith(".tmp")]
    assert complete, "there is a checkpoint to go on from"
    last = int(complete[-1][5:])
    assert last % 40 == 0
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert log.count("\n") > last, "steps were done that are not in the checkpoint"
    # What a kill in the middle of a save leaves behind.
    leftover = tmp_path / "run" / "checkpoints" / f"step-{last + 40:08d}.tmp"
    (leftover / "trainer_state").mkdir(parents=True, exist_ok=True)
    (leftover / "config.json").write_text("{")
    done = latentreason("train", str(tmp_path / "recipe.yaml"))
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", uninterrupted)
    assert checkpoints(tmp_path) == ["step-00000200"]
    assert weights(tmp_path / "run")
