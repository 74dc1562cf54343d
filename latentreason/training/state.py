"""Where a run stands: saved with every checkpoint, and all that a resume needs to know."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class TrainerState:
    """Position in the plan; the stage follows from the phase and from nothing else.

    Attributes:
        phase: index of the current phase.
        phase_step: optimizer steps done in it.
        epoch: passes over the data begun in the whole run; keys order and layouts.
        epoch_step: optimizer steps done in the current epoch.
        step: optimizer steps done in the whole run.
        recent: losses of the last steps of this phase, for `until_loss`.
        best: best validation accuracy in the final stage.
        best_step: the step it was reached at.
        best_stage: the stage it was reached in; a plan that is given a later one begins anew.
        validated: the last step that was validated.
        finished: the plan is done.
    """

    phase: int = 0
    phase_step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    recent: list[float] = field(default_factory=list)
    best: float | None = None
    best_step: int | None = None
    best_stage: int | None = None
    validated: int | None = None
    finished: bool = False

    def next_phase(self) -> None:
        """Begin the next phase, with a new pass over the data."""
        self.phase += 1
        self.phase_step = 0
        self.recent = []
        if self.epoch_step:
            self.next_epoch()

    def next_epoch(self) -> None:
        """Begin a new pass over the data."""
        self.epoch += 1
        self.epoch_step = 0

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> TrainerState:
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
