"""Codes, tile summaries and classes: equal to the predicate, and no visible tile skipped."""

import pytest
import torch

from latentreason_kernels import Visibility, layouts
from latentreason_kernels.latent_blocks import ladir
from tests.kernels.cases import CASES

pytest.importorskip("triton")
from latentreason_kernels.triton_ops import codes, configs, predicate, summary
from tests.kernels.test_triton import random_visibility

SKIP, MIXED, FULL = (c.value for c in (predicate.SKIP, predicate.MIXED, predicate.FULL))


def dense_from_codes(visibility: Visibility) -> torch.Tensor:
    """(B, Lq, Lk): the predicate on codes, in plain torch."""
    _, q_length, k_length = visibility.shape
    low, high, own = codes.query_codes(visibility)[:, :, :q_length, None].unbind(1)
    code = codes.key_codes(visibility)[:, :, :k_length]
    return ((code >= low) & (code <= high)) | (code == own)


@pytest.mark.parametrize("name", CASES)
def test_codes_say_what_the_four_integers_say(name):
    case = CASES[name]()
    assert torch.equal(dense_from_codes(case.visibility), case.truth)


@pytest.mark.parametrize("seed", range(20))
def test_codes_hold_for_any_integers(seed):
    visibility = random_visibility(seed)
    assert torch.equal(dense_from_codes(visibility), visibility.dense())


def test_codes_are_padded_to_whole_tiles_that_see_nothing():
    visibility = layouts.causal(5)
    keys, queries = codes.key_codes(visibility), codes.query_codes(visibility)
    assert keys.shape[-1] == queries.shape[-1] == codes.WHOLE_TILES
    assert (keys[..., 5:] == codes.PADDING_CODE).all()
    seen = (keys[:, :, None] >= queries[:, 0, :, None]) & (
        keys[:, :, None] <= queries[:, 1, :, None]
    )
    assert not seen[0, 0, 5:].any()
    assert not seen[0, 0, :, 5:].any()


def classes(visibility: Visibility, q_tile: int, k_tile: int) -> torch.Tensor:
    """(B, query tiles, key tiles): tile_class, in plain torch."""
    q = summary.query_tiles(visibility, q_tile).summary[:, :, :, None].unbind(1)
    k = summary.key_tiles(visibility, k_tile).summary[:, :, None, :].unbind(1)
    low_least, low_most, high_least, high_most, own_low, own_high, all_private = q
    public_low, public_high, private_low, private_high, all_real = k
    int_min = torch.iinfo(torch.int32).min
    some = (public_low <= high_most) & (public_high >= low_least)
    some |= (private_low <= own_high) & (private_high >= own_low)
    public_all = (public_low >= low_most) & (public_high <= high_least)
    one = (private_low == private_high) & (own_low == own_high) & (own_low == private_low)
    full = public_all | (public_high == int_min)
    full &= (one & (all_private == 1)) | (private_high == int_min)
    full &= all_real == 1
    return torch.where(full, FULL, torch.where(some, MIXED, SKIP))


def tiles_of(mask: torch.Tensor, q_tile: int, k_tile: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, query tiles, key tiles): any and all of the pairs, beyond the end counted as unseen."""
    _, rows, columns = mask.shape
    pad = (0, -columns % k_tile, 0, -rows % q_tile)
    wide = torch.nn.functional.pad(mask, pad)
    tiled = wide.unflatten(1, (-1, q_tile)).unflatten(3, (-1, k_tile))
    return tiled.any(dim=4).any(dim=2), tiled.all(dim=4).all(dim=2)


def _long(name: str) -> Visibility:
    return {
        "causal": lambda: layouts.causal(300),
        "ladir": lambda: ladir([(70, [6] * 8, 30), (40, [9, 3], 20)], copies=4),
        "diffusion": lambda: layouts.block_diffusion(200, 32),
        "packed": lambda: layouts.packed_causal([60, 70, 10, 90, 64], length=320),
        "random": lambda: random_visibility(3),
    }[name]()


@pytest.mark.parametrize("tile", [(16, 16), (32, 16), (16, 64)])
@pytest.mark.parametrize("name", ["causal", "ladir", "diffusion", "packed", "random"])
def test_no_visible_tile_is_skipped_and_full_is_full(name, tile, triton_device):
    visibility = _long(name).to(triton_device)
    found = classes(visibility, *tile).cpu()
    some, every = tiles_of(visibility.dense().cpu(), *tile)
    assert (found[some] != SKIP).all()
    assert every[found == FULL].all()


@pytest.mark.parametrize(
    ("name", "waste"), [("causal", 0.0), ("ladir", 0.06), ("diffusion", 0.0), ("packed", 0.0)]
)
def test_work_is_proportional_to_visible_tiles(name, waste, triton_device):
    """Tiles visited but empty, as a share of those visited: 0 where no tile mixes kinds."""
    visibility = _long(name).to(triton_device)
    visited = classes(visibility, 16, 16).cpu() != SKIP
    some, _ = tiles_of(visibility.dense().cpu(), 16, 16)
    assert (visited & ~some).sum() <= waste * visited.sum()


def test_causal_diagonal_alone_needs_the_predicate(triton_device):
    found = classes(layouts.causal(256).to(triton_device), 32, 32)[0].cpu()
    expected = torch.full((8, 8), FULL).tril(-1) + torch.eye(8, dtype=torch.long) * MIXED
    assert torch.equal(found.long(), expected)


def test_bidirectional_text_is_all_full(triton_device):
    assert (classes(layouts.bidirectional(128).to(triton_device), 32, 32) == FULL).all()


def test_own_noisy_block_is_full(triton_device):
    """Blocks as large as a tile: the noisy diagonal needs no predicate."""
    found = classes(layouts.block_diffusion(128, 32).to(triton_device), 32, 32)[0].cpu()
    assert (found[4:, 4:].diagonal() == FULL).all()
    assert (found[4:, 4:] != SKIP).sum() == 4


def test_kernel_classes_equal_the_torch_ones(triton_device):
    """tile_class of the kernels, run on a table, gives what `classes` above gives."""
    import triton
    import triton.language as tl

    @triton.jit
    def table_kernel(q_summary, k_summary, out, q_tiles, k_tiles, K: tl.constexpr):
        i = tl.program_id(0)
        j = tl.arange(0, K)
        a, b, c, d, e, f, g = predicate.load_query_summary(q_summary, i, q_tiles)
        ka, kb, kc, kd, ke = predicate.load_key_summary(k_summary, j, k_tiles)
        found = predicate.tile_class(a, b, c, d, e, f, g, ka, kb, kc, kd, ke)
        tl.store(out + i * k_tiles + j, found, mask=j < k_tiles)

    visibility = _long("ladir").to(triton_device)
    q, k = summary.query_tiles(visibility, 16), summary.key_tiles(visibility, 16)
    out = torch.full((q.count, k.count), -1, dtype=torch.int32, device=triton_device)
    table_kernel[(q.count,)](q.summary[0], k.summary[0], out, q.count, k.count, K=64)
    assert torch.equal(out.cpu(), classes(visibility, 16, 16)[0].cpu().int())


def test_summaries_and_codes_grow_linearly(triton_device):
    """Launch buffers of a 16k row: a few integers per token and per tile."""

    def numbers(length: int) -> int:
        visibility = layouts.causal(length).to(triton_device)
        tiles = [summary.query_tiles(visibility, 128), summary.key_tiles(visibility, 64)]
        return sum(t.codes.numel() + t.summary.numel() for t in tiles)

    assert numbers(16384) == 16 * numbers(1024)
    assert numbers(16384) < 5 * 16384


def test_every_config_divides_the_padding_of_codes():
    for kernel in configs.KERNELS:
        for dim in (64, 128, 256):
            for dtype in (torch.bfloat16, torch.float32):
                for config in configs.candidates(kernel, dim, dtype):
                    assert codes.WHOLE_TILES % config.block_q == 0
                    assert codes.WHOLE_TILES % config.block_k == 0
