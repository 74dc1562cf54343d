"""Named example layouts, small enough to look at: for pictures, docs and debugging."""

from __future__ import annotations

from collections.abc import Callable

import torch

from latentreason_kernels import layouts
from latentreason_kernels.latent_blocks import ladir, ladir_tokens, noisy_copy
from latentreason_kernels.tokens import Tokens
from latentreason_kernels.visibility import Visibility


def _ladir_cache() -> Visibility:
    """Two copies of block 1 are denoised behind a cached question and block 0."""
    cached = ladir_tokens(6, [4], 0)
    noisy = [noisy_copy(9, 4, group) for group in (1, 2)]
    return Visibility.with_cache(cached, Tokens.cat(noisy))


def _left_padded() -> Visibility:
    present = torch.arange(16) >= torch.tensor([[0], [6]])
    return layouts.causal(16, batch=2).with_padding(present)


EXAMPLES: dict[str, Callable[[], Visibility]] = {
    "causal": lambda: layouts.causal(16),
    "bidirectional": lambda: layouts.bidirectional(16),
    "prefix-lm": lambda: layouts.prefix_lm(16, 6),
    "ladir": lambda: ladir([(6, [4, 4], 4)]),
    "ladir-training": lambda: ladir([(6, [4, 4], 4)], copies=2),
    "ladir-cache": _ladir_cache,
    "block-diffusion": lambda: layouts.block_diffusion(16, 4),
    "packed": lambda: layouts.packed_causal([5, 8, 3], length=20),
    "padded": _left_padded,
}


def example(name: str) -> Visibility:
    """The example layout called `name`.

    Raises:
        ValueError: if there is none of that name; the message lists those there are.
    """
    if name not in EXAMPLES:
        raise ValueError(f"layout is {name!r}; there are: {', '.join(EXAMPLES)}")
    return EXAMPLES[name]()
