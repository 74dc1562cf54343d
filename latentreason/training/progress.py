"""What a run tells: metrics.jsonl always, a progress bar, TensorBoard and wandb by name."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from latentreason.errors import UserError


class Progress:
    """Writes metrics of the main rank; does nothing on the others."""

    def __init__(self, folder: Path, loggers: list[str], total: int, step: int, main: bool) -> None:
        """Args:
        folder: the run folder; metrics.jsonl and TensorBoard's files go there.
        loggers: names of further loggers.
        total: planned optimizer steps.
        step: steps done before this start.
        main: whether this rank writes.
        """
        self.main = main
        self._bar = tqdm(total=total, initial=step, unit="step", disable=None if main else True)
        path = folder / "metrics.jsonl"
        if main:
            _forget_after(path, step)
        self._file = path.open("a", encoding="utf-8") if main else None
        wanted = main and "tensorboard" in loggers
        self._board = self._tensorboard(folder, step) if wanted else None
        self._wandb = start_wandb(folder) if main and "wandb" in loggers else None
        self._tokens = 0
        self._since = time.perf_counter()

    def step(self, loss: float, stage: int, tokens: int) -> None:
        """Advance the bar by one optimizer step of `tokens` tokens over all ranks."""
        self._tokens += tokens
        rate = self._tokens / (time.perf_counter() - self._since)
        self._bar.update(1)
        self._bar.set_postfix(stage=stage, loss=f"{loss:.4f}", tok_s=f"{rate:.0f}", refresh=False)

    def log(self, record: dict[str, Any]) -> None:
        """Write one line of metrics (numbers and strings), with tokens/s since the last."""
        if self._file is None:
            return
        now = time.perf_counter()
        if self._tokens:
            record = {**record, "tokens_per_second": round(self._tokens / (now - self._since), 1)}
            self._tokens, self._since = 0, now
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(name, value, record["step"])
        if self._wandb is not None:
            values = {name: value for name, value in record.items() if name != "step"}
            self._wandb.log(values, step=record["step"])

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.main:
            tqdm.write(text)

    def close(self) -> None:
        """Close files and bar."""
        self._bar.close()
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()

    @staticmethod
    def _tensorboard(folder: Path, step: int) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "run.loggers: tensorboard is not installed; pip install 'latentreason[train]'"
            ) from None
        return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def start_wandb(folder: Path) -> Any:
    """Begin a wandb run named as the run folder, or go on with the one that the folder began.

    Project and mode are wandb's own to set (WANDB_PROJECT, WANDB_MODE=offline).
    """
    try:
        import wandb
    except ImportError:
        raise UserError(
            "run.loggers: wandb is not installed; pip install 'latentreason[wandb]'"
        ) from None
    remembered = folder / "wandb_id"
    if not remembered.is_file():
        remembered.write_text(uuid.uuid4().hex, encoding="utf-8")
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", "latentreason"),
        name=folder.name,
        id=remembered.read_text(encoding="utf-8"),
        resume="allow",
        dir=str(folder),
        config=yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8")),
    )


def _forget_after(path: Path, step: int) -> None:
    """Drop the lines of steps that a killed run did after its last checkpoint: they come again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        # A killed run may have left half a line.
        if line.endswith("\n") and json.loads(line)["step"] <= step:
            kept.append(line)
    path.write_text("".join(kept), encoding="utf-8")
