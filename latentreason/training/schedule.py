"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence

from latentreason.config import OptimConfig, PhaseConfig


def learning_rate(optim: OptimConfig, phase: PhaseConfig, step: int, total: int) -> float:
    """Learning rate of optimizer step `step` (from 0) of `total` planned ones."""
    peak = optim.lr if phase.lr is None else phase.lr
    if step < optim.warmup:
        return peak * (step + 1) / optim.warmup
    if optim.schedule == "constant":
        return peak
    done = min(1.0, (step - optim.warmup) / max(1, total - optim.warmup))
    left = 1 - done if optim.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return optim.min_lr + (peak - optim.min_lr) * left


def phase_steps(phase: PhaseConfig, per_epoch: int) -> int:
    """Planned optimizer steps of a phase."""
    if phase.steps is not None:
        return phase.steps
    assert phase.epochs is not None
    return max(1, round(phase.epochs * per_epoch))


def loss_is_low(phase: PhaseConfig, recent: Sequence[float]) -> bool:
    """Whether the mean of the last `window` losses is low enough to end the phase."""
    if phase.until_loss is None or len(recent) < phase.window:
        return False
    return sum(recent) / len(recent) < phase.until_loss


def describe(phases: Sequence[PhaseConfig], planned: Sequence[int], number: int) -> str:
    """One line about phase `number` (from 0)."""
    phase = phases[number]
    early = f", or until the loss is below {phase.until_loss}" if phase.until_loss else ""
    return f"phase {number + 1}/{len(phases)}: stage {phase.stage}, {planned[number]} steps{early}"
