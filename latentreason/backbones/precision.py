"""Casting a model without what has to stay exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast the weights in place, as `from_pretrained(dtype=...)` does, and return the model."""
    with exact_buffers(model):
        return model.to(dtype)


@contextmanager
def exact_buffers(model: nn.Module) -> Iterator[None]:
    """Give buffers that no checkpoint holds the values back that they had.

    Such are rotary frequencies: in bf16 the angle of position 3,000 is off by more than a radian,
    and the model that is loaded later has them in fp32.
    """
    kept = [
        (module, name, module._buffers[name])
        for module in model.modules()
        for name in module._non_persistent_buffers_set
    ]
    yield
    for module, name, exact in kept:
        now = module._buffers[name]
        if exact is not None and now is not None and now.dtype != exact.dtype:
            module._buffers[name] = exact.to(now.device)
