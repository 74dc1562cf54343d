"""The sdpa backend uses the structure: fast paths, and noisy copies pay for visible keys only."""

import pytest
import torch

from latentreason_kernels import Visibility, attention, layouts, sdpa, structure
from latentreason_kernels.latent_blocks import ladir, ladir_tokens, noisy_copy
from latentreason_kernels.plan import make_plan
from tests.kernels.cases import CASES, inputs


def _present(*lengths, total):
    return torch.arange(total) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("name", CASES)
def test_proofs_hold(name):
    """What structure claims from O(L) integers is what the mask says."""
    case = CASES[name]()
    if structure.is_full(case.visibility):
        assert case.truth.all()
    if structure.is_causal(case.visibility):
        length = case.truth.shape[1]
        real = (case.visibility.queries.doc >= 0)[:, :, None]
        lower = torch.ones(length, length).tril().bool()[None]
        assert torch.equal(case.truth & real, lower & real)


@pytest.mark.parametrize(
    ("build", "full", "causal"),
    [
        (lambda: layouts.bidirectional(9), True, False),
        (lambda: layouts.causal(9), False, True),
        (lambda: layouts.causal(9, batch=2).with_padding(_present(9, 4, total=9)), False, True),
        (lambda: layouts.causal(9).narrow_queries(-1), True, False),
        (lambda: layouts.prefix_lm(9, 3), False, False),
        (lambda: layouts.prefix_lm(9, 9), True, False),
        (lambda: layouts.packed_causal([4, 5]), False, False),
        (lambda: ladir([(5, [1, 1], 4)]), False, True),
        (lambda: ladir([(5, [2, 1], 4)]), False, False),
    ],
)
def test_fast_paths_are_recognised(build, full, causal):
    visibility = build()
    assert structure.is_full(visibility) is full
    assert structure.is_causal(visibility) is causal


def _sdpa_calls(monkeypatch, visibility):
    calls = []
    original = sdpa.scaled_dot_product_attention

    def watch(q, k, v, **options):
        calls.append((q.shape[2], k.shape[2], options["attn_mask"], options["is_causal"]))
        return original(q, k, v, **options)

    monkeypatch.setattr(sdpa, "scaled_dot_product_attention", watch)
    q, k, v, _ = inputs(visibility, heads=(1, 1), dim=4, dtype=torch.float32)
    attention(q, k, v, visibility, backend="sdpa")
    return calls


@pytest.mark.parametrize("length", [1, 160, 2048])
def test_causal_text_takes_torchs_causal_path(length, monkeypatch):
    calls = _sdpa_calls(monkeypatch, layouts.causal(length))
    # A single token sees itself: fully visible, no mask either way.
    assert calls == [(length, length, None, length > 1)]


def test_fully_visible_text_and_denoising_with_a_cache_have_no_mask(monkeypatch):
    assert _sdpa_calls(monkeypatch, layouts.bidirectional(30))[0][2:] == (None, False)
    denoising = Visibility.with_cache(ladir_tokens(40, [5], 0), noisy_copy(43, 5, 1))
    assert _sdpa_calls(monkeypatch, denoising) == [(6, 53, None, False)]


def test_medium_causal_text_skips_its_future():
    """Between 256 and 2048 tokens chunks of 128 are faster on CPU than torch's causal path."""
    pairs = sum(chunk.pairs for chunk in make_plan(layouts.causal(1024)))
    assert pairs <= 0.6 * 1024**2


@pytest.mark.parametrize("copies", [4, 8])
def test_noisy_copies_do_not_pay_for_keys_they_cannot_see(copies):
    """At most 1.5 x the visible pairs on a GSM8K-like row, where a dense mask computes 4 x."""
    visibility = ladir([(100, [4] * 8, 20)] * 2, copies=copies)
    computed = sum(chunk.pairs for chunk in make_plan(visibility))
    visible = int(visibility.dense()[0].sum())
    dense = visibility.shape[1] * visibility.shape[2]
    assert computed <= 1.5 * visible + 100 * 100
    assert computed <= 0.6 * dense


def test_packed_documents_do_not_pay_for_each_other():
    visibility = layouts.packed_causal([130, 170, 90, 160, 200, 140])
    computed = sum(chunk.pairs for chunk in make_plan(visibility))
    assert computed <= 0.25 * visibility.shape[1] ** 2


def test_the_plan_is_made_once_for_all_layers(monkeypatch):
    made = []
    monkeypatch.setattr(sdpa, "make_plan", lambda v: made.append(v) or make_plan(v))
    visibility = ladir([(10, [3], 4)], copies=2)
    q, k, v, _ = inputs(visibility, dim=4)
    for _ in range(3):
        attention(q, k, v, visibility, backend="sdpa")
    assert len(made) == 1
