"""The flex backend: torch's FlexAttention with the same predicate as its mask_mod.

Shapes: q (B, Hq, Lq, D); k, v (B, Hkv, Lk, D); out (B, Hq, Lq, D); lse (B, Hq, Lq).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.nn.attention import flex_attention as torch_flex

from latentreason_kernels.visibility import Visibility

MaskMod = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def mask_mod(visibility: Visibility) -> MaskMod:
    """The visibility predicate as FlexAttention takes it: (b, h, q_index, k_index) -> bool."""
    q_doc, _, q_reach, q_group = visibility.queries.fields()
    k_doc, k_order, _, k_group = visibility.keys.fields()

    def sees(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        same_doc = (q_doc[b, i] == k_doc[b, j]) & (q_doc[b, i] >= 0)
        public = (k_group[b, j] == 0) & (k_order[b, j] <= q_reach[b, i])
        private = (k_group[b, j] > 0) & (k_group[b, j] == q_group[b, i])
        return same_doc & (public | private)

    return sees


RECOMPILES = 256  # shapes that may be compiled for; torch's default of 8 would end in eager mode


@cache
def _compiled(function: Any) -> Any:
    # fullgraph: past the limit torch raises, where otherwise it would build the L x L scores.
    return torch.compile(function, dynamic=False, fullgraph=True)


def block_mask(visibility: Visibility) -> torch_flex.BlockMask:
    """FlexAttention's table of visible 128 x 128 blocks; O(L^2 / 128^2) memory, built once."""
    batch, q_length, k_length = visibility.shape
    build = torch_flex.create_block_mask
    if visibility.device.type == "cuda":
        build = _compiled(build)
    rule, device = mask_mod(visibility), visibility.device
    with torch._dynamo.config.patch(recompile_limit=RECOMPILES):
        return build(rule, batch, None, q_length, k_length, device=device)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, visibility: Visibility, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(out, lse); compiled on CUDA, eager (inference only) on CPU.

    Raises:
        NotImplementedError: on CPU where a gradient would be needed: torch has none there.
    """
    if q.device.type == "cpu":
        if torch.is_grad_enabled() and _needs_grad(q, k, v):
            raise NotImplementedError(
                "FlexAttention has no backward on CPU: use backend='sdpa' to train, "
                "or torch.no_grad()"
            )
        # torch refuses leaves that require gradients even under no_grad.
        q, k, v = q.detach(), k.detach(), v.detach()
    mask = visibility.fact("flex_block_mask", lambda: block_mask(visibility))
    run = torch_flex.flex_attention
    if q.device.type == "cuda":
        run = _compiled(run)
    with torch._dynamo.config.patch(recompile_limit=RECOMPILES):
        out, aux = run(
            q,
            k,
            v,
            block_mask=mask,
            scale=scale,
            enable_gqa=q.shape[1] != k.shape[1],
            return_aux=torch_flex.AuxRequest(lse=True),
        )
    return out, aux.lse


def _needs_grad(*tensors: torch.Tensor) -> bool:
    return any(t.requires_grad for t in tensors)
