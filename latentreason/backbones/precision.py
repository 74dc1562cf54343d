"""Casting a model without what has to stay exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast in place all but rotary frequencies, as `from_pretrained(dtype=...)` does; return it."""
    with exact_frequencies(model):
        return model.to(dtype)


@contextmanager
def exact_frequencies(model: nn.Module) -> Iterator[None]:
    """Give rotary frequencies the values back that they had.

    In bf16 the angle of position 3,000 is off by more than a radian, and no checkpoint holds them:
    the model that is loaded later has them in fp32.
    """
    kept = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if name.endswith("inv_freq")
    ]
    yield
    for module, name, exact in kept:
        module._buffers[name] = exact.to(module._buffers[name].device)
