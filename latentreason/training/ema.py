"""An exponential moving average of the trained weights, for validation and checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from latentreason.errors import UserError

FILE = "ema.pt"


class Ema:
    """average <- d average + (1 - d) weights after every optimizer step.

    d = min(decay, (1 + step) / (10 + step)), so that the first steps, from random weights, are soon
    forgotten; a pure function of the step, as every schedule here.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        # Half precision would swallow steps of 1 - d.
        self.average: dict[str, Tensor] = {
            n: p.detach().to(torch.promote_types(p.dtype, torch.float32), copy=True)
            for n, p in self.weights.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step `step` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, average in self.average.items():
            average.lerp_(self.weights[name].to(average.dtype), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside the block, its own again after it."""
        own = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self._set(self.average)
        try:
            yield
        finally:
            self._set(own)

    def save(self, folder: Path) -> None:
        """Write the average."""
        torch.save(self.average, folder / FILE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        saved = torch.load(folder / FILE, map_location="cpu", weights_only=True)
        for name, average in self.average.items():
            average.copy_(saved[name])

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, weight in self.weights.items():
            weight.copy_(values[name])


def resume_average(ema: Ema | None, folder: Path) -> None:
    """Read the average of a checkpoint's trainer state.

    Raises:
        UserError: the checkpoint has one and the recipe has none, or the other way round.
    """
    if (folder / FILE).is_file() != (ema is not None):
        raise UserError(
            f"train.ema: {folder} was trained {'without' if ema is not None else 'with'} an average, "
            "this recipe says otherwise; set train.ema as it was, or give another run.name"
        )
    if ema is not None:
        ema.load(folder)
