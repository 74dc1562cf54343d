"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math

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
