"""Layouts of many kinds with their truth tables, and random inputs for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from latentreason_kernels import Tokens, Visibility, layouts
from latentreason_kernels.latent_blocks import committed_block, ladir, ladir_tokens, noisy_copy
from tests.kernels import words


@dataclass(frozen=True)
class Case:
    """A visibility and the mask that the words of its specification give, (B, Lq, Lk) bool."""

    visibility: Visibility
    truth: torch.Tensor


def _self_case(visibility: Visibility, rows: list[list[words.Word]], rule) -> Case:
    truth = torch.stack([words.table(row, row, rule) for row in rows])
    return Case(visibility, truth)


def _present(*lengths: int, total: int, left: bool = False) -> torch.Tensor:
    position = torch.arange(total)
    if left:
        return torch.stack([position >= total - n for n in lengths])
    return torch.stack([position < n for n in lengths])


def causal_case() -> Case:
    return _self_case(layouts.causal(21, batch=2), [words.text(21)] * 2, words.causal)


def single_token() -> Case:
    return _self_case(layouts.causal(1), [words.text(1)], words.causal)


def right_padded() -> Case:
    visibility = layouts.causal(17, batch=2).with_padding(_present(17, 9, total=17))
    rows = [words.text(17), words.text(9) + words.padding(8)]
    return _self_case(visibility, rows, words.causal)


def left_padded() -> Case:
    visibility = layouts.causal(17, batch=2).with_padding(_present(17, 9, total=17, left=True))
    rows = [words.text(17), words.padding(8) + words.text(9)]
    return _self_case(visibility, rows, words.causal)


def empty_row() -> Case:
    visibility = layouts.causal(9, batch=2).with_padding(_present(9, 0, total=9))
    return _self_case(visibility, [words.text(9), words.padding(9)], words.causal)


def bidirectional_case() -> Case:
    return _self_case(layouts.bidirectional(13), [words.text(13)], words.everything)


def bidirectional_padded() -> Case:
    visibility = layouts.bidirectional(13).with_padding(_present(13, 6, total=13))
    rows = [words.text(13), words.text(6) + words.padding(7)]
    return _self_case(visibility, rows, words.everything)


def prefix_case() -> Case:
    visibility = layouts.prefix_lm(15, torch.tensor([6, 0, 15]))
    truth = [words.table(words.text(15), words.text(15), words.prefix_rule(n)) for n in (6, 0, 15)]
    return Case(visibility, torch.stack(truth))


def ladir_training() -> Case:
    rows = [(7, [4, 2, 3], 5), (3, [1], 2)]
    described = [words.ladir_row(*row, copies=3) for row in rows]
    longest = max(map(len, described))
    padded = [row + words.padding(longest - len(row)) for row in described]
    return _self_case(ladir(rows, copies=3), padded, words.ladir)


def ladir_inference() -> Case:
    return _self_case(ladir([(5, [3, 3], 4)]), [words.ladir_row(5, [3, 3], 4)], words.ladir)


def ladir_straddles_tiles() -> Case:
    rows = [(29, [6, 9, 5], 11)]
    return _self_case(ladir(rows, copies=2), [words.ladir_row(*rows[0], 2)], words.ladir)


def ladir_denoising_with_cache() -> Case:
    """Question and block 0 are cached; two copies of block 1 are being denoised."""
    cached = ladir_tokens(6, [4], 0)
    first = 6 + 3
    noisy = Tokens.cat([noisy_copy(first, 4, group) for group in (1, 2)])
    known = words.ladir_row(6, [4], 0)
    new = [words.Word("X", p, 1, copy) for copy in (0, 1) for p in range(5)]
    truth = words.table(new, known + new, words.ladir)[None]
    return Case(Visibility.with_cache(cached, noisy), truth)


def ladir_commit_with_cache() -> Case:
    """Block 1 is committed behind a cached question and block 0."""
    cached, new = ladir_tokens(6, [4], 0), committed_block(9, 3)
    row = words.ladir_row(6, [4, 3], 0)
    truth = words.table(row[12:], row, words.ladir)[None]
    return Case(Visibility.with_cache(cached, new), truth)


def block_diffusion_case() -> Case:
    row = words.block_diffusion_row(14, 4)
    return _self_case(layouts.block_diffusion(14, 4), [row], words.block_diffusion)


def packed_case() -> Case:
    row = words.text(4, 0) + words.text(1, 1) + words.text(9, 3) + words.padding(3)
    visibility = layouts.packed_causal([4, 1, 0, 9], length=17)
    return _self_case(visibility, [row], words.causal)


def packed_mixed() -> Case:
    """A LaDiR row, a bidirectional text and a causal text share one row."""
    parts = [ladir_tokens(3, [2], 2, 2), layouts.bidirectional(5).queries]
    tokens = layouts.packed([*parts, layouts.causal_tokens(4)])
    first = words.ladir_row(3, [2], 2, 2)
    row = first + words.text(5, 1) + words.text(4, 2)

    def rule(i: words.Word, j: words.Word) -> bool:
        return (words.ladir, words.everything, words.causal)[i.document](i, j)

    return _self_case(Visibility.of(tokens), [row], rule)


def causal_with_cache() -> Case:
    """Three new tokens behind eleven cached ones, the second row left-padded by four."""
    everything = layouts.causal(14, batch=2).with_padding(_present(14, 10, total=14, left=True))
    rows = [words.text(14), words.padding(4) + words.text(10)]
    truth = torch.stack([words.table(row[-3:], row, words.causal) for row in rows])
    return Case(everything.narrow_queries(-3), truth)


def more_queries_than_keys() -> Case:
    """Text looks at the first 5 of its own 12 tokens, as one part of a split over keys."""
    text = words.text(12)
    truth = words.table(text, text[:5], words.causal)[None]
    return Case(layouts.causal(12).narrow_keys(0, 5), truth)


def blind_queries() -> Case:
    """Text looks at its last 5 tokens only: the first seven see nothing."""
    text = words.text(12)
    truth = words.table(text, text[7:], words.causal)[None]
    return Case(layouts.causal(12).narrow_keys(7), truth)


CASES = {
    "causal": causal_case,
    "single_token": single_token,
    "right_padded": right_padded,
    "left_padded": left_padded,
    "empty_row": empty_row,
    "bidirectional": bidirectional_case,
    "bidirectional_padded": bidirectional_padded,
    "prefix_lm": prefix_case,
    "ladir_training": ladir_training,
    "ladir_inference": ladir_inference,
    "ladir_straddles_tiles": ladir_straddles_tiles,
    "ladir_denoising_with_cache": ladir_denoising_with_cache,
    "ladir_commit_with_cache": ladir_commit_with_cache,
    "block_diffusion": block_diffusion_case,
    "packed": packed_case,
    "packed_mixed": packed_mixed,
    "causal_with_cache": causal_with_cache,
    "more_queries_than_keys": more_queries_than_keys,
    "blind_queries": blind_queries,
}


def inputs(
    visibility: Visibility,
    *,
    heads: tuple[int, int] = (2, 2),
    dim: int = 32,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    seed: int = 0,
) -> list[torch.Tensor]:
    """Random q (B, Hq, Lq, D), k and v (B, Hkv, Lk, D) that need gradients, and d_out like q."""
    batch, q_length, k_length = visibility.shape
    generator = torch.Generator().manual_seed(seed)
    shapes = [
        (heads[0], q_length),
        (heads[1], k_length),
        (heads[1], k_length),
        (heads[0], q_length),
    ]
    made = [
        torch.randn(batch, h, n, dim, generator=generator, dtype=torch.float64).to(device, dtype)
        for h, n in shapes
    ]
    return [tensor.requires_grad_(i < 3) for i, tensor in enumerate(made)]


def dense_reference(q, k, v, mask, scale=None):
    """Attention by loops' worth of plain torch, in fp64, from a (B, Lq, Lk) mask: out, lse."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    q, k, v = (t.double() for t in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
    scores = (q @ k.transpose(-1, -2)) * scale
    # Weights by exponentials and a sum, so that a row without keys is 0 / 0 only where clamped.
    top = scores.masked_fill(~mask[:, None], -1e300).amax(-1, keepdim=True).detach()
    weights = torch.exp((scores - top).clamp(max=0)) * mask[:, None]
    total = weights.sum(-1, keepdim=True)
    seen = total > 0
    out = (weights / torch.where(seen, total, 1.0)) @ v
    lse = torch.where(seen, top + torch.log(torch.where(seen, total, 1.0)), -math.inf)
    return out, lse.squeeze(-1)
