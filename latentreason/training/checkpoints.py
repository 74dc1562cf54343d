"""Checkpoints of a run folder: written whole or not at all, found again, thinned out.

    run/checkpoints/step-00000120/   a save_pretrained directory + trainer_state/
    run/last, run/best               links to two of them

A step may be saved twice (at its end, and again at the end of its phase). The old copy is then set
aside, and taken back by the next start if a kill falls between.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

STATE_FOLDER = "trainer_state"


class Checkpoints:
    """The checkpoints of one run folder."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.folder = run / "checkpoints"

    def path(self, step: int) -> Path:
        """Where the checkpoint of an optimizer step lies."""
        return self.folder / f"step-{step:08d}"

    def temporary(self, step: int) -> Path:
        """Where it is written before it is complete."""
        return self.folder / f"step-{step:08d}.tmp"

    def recover(self) -> None:
        """Take back a copy that was set aside for one that never came; call it on one rank."""
        for aside in self.folder.glob("step-*.old"):
            if aside.with_suffix("").exists():
                shutil.rmtree(aside)
            else:
                aside.rename(aside.with_suffix(""))

    def complete(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if re.fullmatch(r"step-\d{8}", p.name))

    def latest(self) -> Path | None:
        """The newest complete checkpoint."""
        found = self.complete()
        return found[-1] if found else None

    def begin(self, step: int) -> Path:
        """Make an empty temporary folder for `step`; leftovers of a killed run are removed."""
        for leftover in self.folder.glob("step-*.tmp"):
            shutil.rmtree(leftover)
        temporary = self.temporary(step)
        (temporary / STATE_FOLDER).mkdir(parents=True)
        return temporary

    def commit(self, step: int) -> Path:
        """Make the temporary folder of `step` a checkpoint, in one rename."""
        temporary, final = self.temporary(step), self.path(step)
        aside = final.with_suffix(".old")
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        if final.exists():
            final.rename(aside)
        temporary.rename(final)
        _sync(self.folder)
        if aside.exists():
            shutil.rmtree(aside)
        self.link("last", step)
        return final

    def link(self, name: str, step: int) -> None:
        """Point `run/name` at the checkpoint of `step`."""
        target = Path("checkpoints") / self.path(step).name
        temporary = self.run / f".{name}.tmp"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(self.run / name)

    def unlink(self, name: str) -> None:
        """Take the link `run/name` away, where there is one."""
        (self.run / name).unlink(missing_ok=True)

    def thin(self, keep_last: int, best_step: int | None) -> None:
        """Remove all but the last `keep_last` checkpoints and the best."""
        keep = {path.name for path in self.complete()[-keep_last:]}
        if best_step is not None:
            keep.add(self.path(best_step).name)
        for path in self.complete():
            if path.name not in keep:
                shutil.rmtree(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
