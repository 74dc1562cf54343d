"""The chains' losses one after another, with the memory of one.

Shapes: N chains, B questions, L thoughts, H the LLM's hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def sum_over_chains(
    loss: Callable[[Tensor], Tensor], thoughts: Tensor, parameters: Sequence[Tensor]
) -> Tensor:
    """Sum of `loss` over the chains of `thoughts`; a scalar whose gradients are those of the plain sum.

    Args:
        loss: one chain's thoughts (B, L, H) to its loss, a scalar; called once for each chain.
        thoughts: (N, B, L, H).
        parameters: what else `loss` depends on and what is to have a gradient.

    Each chain runs forward and backward before the next begins, so that the activations of one chain
    are alive at a time. With gradients switched off it is the plain sum.
    """
    if not torch.is_grad_enabled():
        return torch.stack([loss(chain) for chain in thoughts]).sum()
    return _SumOverChains.apply(loss, thoughts, *parameters)


class _SumOverChains(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss: Callable[[Tensor], Tensor], thoughts: Tensor, *parameters: Tensor
    ) -> Tensor:
        total = torch.zeros((), device=thoughts.device)
        gradients: list[Tensor] = []
        sums = [torch.zeros_like(parameter) for parameter in parameters]
        for chain in thoughts.detach():
            leaf = chain.clone().requires_grad_()
            with torch.enable_grad():
                value = loss(leaf)
            own, *rest = torch.autograd.grad(value, [leaf, *parameters], allow_unused=True)
            total = total + value.detach()
            gradients.append(torch.zeros_like(leaf) if own is None else own)
            for place, gradient in enumerate(rest):
                if gradient is not None:
                    sums[place] += gradient
        ctx.save_for_backward(torch.stack(gradients), *sums)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        (scale,) = upstream
        return (None, *(scale.to(gradient.dtype) * gradient for gradient in ctx.saved_tensors))
