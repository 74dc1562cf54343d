"""attn_implementation="latentreason" on tiny backbones against sdpa with the dense mask."""

import pytest
import torch
import transformers

from latentreason_kernels import Visibility, layouts
from latentreason_kernels.latent_blocks import ladir, ladir_tokens
from latentreason_kernels.registration import NAME, register

VOCABULARY = 61


@pytest.fixture(autouse=True, scope="module")
def registered():
    register()
    register()


def tiny(kind: str) -> torch.nn.Module:
    """A two-layer model of `kind` in fp64, with random weights large enough to matter."""
    sizes = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    llama = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
    }
    torch.manual_seed(0)
    config = {
        "gpt2": lambda: transformers.GPT2Config(
            n_embd=32, n_layer=2, n_head=4, n_positions=128, attn_pdrop=0.0, resid_pdrop=0.0,
            embd_pdrop=0.0, **sizes,
        ),
        "llama": lambda: transformers.LlamaConfig(**llama, **sizes),
        "qwen2": lambda: transformers.Qwen2Config(**llama, **sizes),
        "qwen3": lambda: transformers.Qwen3Config(**llama, head_dim=16, **sizes),
    }[kind]()  # fmt: skip
    config.initializer_range = 0.3
    return transformers.AutoModelForCausalLM.from_config(config).double()


KINDS = ["gpt2", "llama", "qwen2", "qwen3"]


def run(model, implementation, ids, **inputs):
    """Logits and gradients of a loss that reads all of them."""
    model.set_attn_implementation(implementation)
    model.zero_grad()
    logits = model(input_ids=ids, use_cache=False, **inputs).logits
    torch.manual_seed(1)
    (logits * torch.randn_like(logits)).sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters()}


def assert_same(mine, theirs, rows=None):
    logits, reference = mine[0], theirs[0]
    if rows is not None:
        logits, reference = logits[rows], reference[rows]
    torch.testing.assert_close(logits, reference, atol=1e-10, rtol=0)
    if rows is None:
        for name, gradient in theirs[1].items():
            torch.testing.assert_close(mine[1][name], gradient, atol=1e-8, rtol=1e-9)


@pytest.mark.parametrize("layout", ["ladir", "block_diffusion", "packed", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS)
def test_visibility_equals_sdpa_with_the_dense_mask(kind, layout):
    visibility = {
        "ladir": lambda: ladir([(6, [3, 2], 4), (6, [3, 2], 4)], copies=2),
        "block_diffusion": lambda: layouts.block_diffusion(12, 4, batch=2),
        "packed": lambda: layouts.packed_causal([5, 9, 3]).expand(2),
        "bidirectional": lambda: layouts.bidirectional(14, batch=2),
    }[layout]()
    model, ids = tiny(kind), torch.randint(3, VOCABULARY, visibility.shape[:2])
    mine = run(model, NAME, ids, visibility=visibility)
    theirs = run(model, "sdpa", ids, attention_mask=visibility.dense()[:, None])
    assert_same(mine, theirs)


@pytest.mark.parametrize("backend", ["naive", "triton"])
def test_backend_can_be_chosen_through_the_forward(backend, request):
    device = request.getfixturevalue("triton_device") if backend == "triton" else "cpu"
    visibility = ladir([(6, [3, 2], 4)], copies=2)
    model, ids = tiny("llama").float().to(device), torch.randint(3, VOCABULARY, (1, 35))
    ids, visibility = ids[:, : visibility.shape[1]].to(device), visibility.to(device)
    mine = run(model, NAME, ids, visibility=visibility, backend=backend)
    theirs = run(model, "sdpa", ids, attention_mask=visibility.dense()[:, None])
    torch.testing.assert_close(mine[0], theirs[0], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_without_visibility_it_is_ordinary_causal_text(kind):
    model, ids = tiny(kind), torch.randint(3, VOCABULARY, (2, 17))
    assert_same(run(model, NAME, ids), run(model, "sdpa", ids))


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_padding_mask_is_applied(kind, left):
    model, ids = tiny(kind), torch.randint(3, VOCABULARY, (2, 11))
    present = torch.ones(2, 11, dtype=torch.long)
    present[1, : 4 if left else -4 or None] = 0
    if not left:
        present[1] = present[1].flip(0)
    mine = run(model, NAME, ids, attention_mask=present)
    theirs = run(model, "sdpa", ids, attention_mask=present)
    assert_same(mine, theirs, rows=present.bool())
    assert not torch.allclose(mine[0], run(model, NAME, ids)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_generate_with_cache_and_left_padding(kind):
    model = tiny(kind).eval()
    ids = torch.randint(3, VOCABULARY, (3, 9))
    present = torch.ones_like(ids)
    present[1, :5] = 0
    options = {"max_new_tokens": 6, "do_sample": False, "attention_mask": present}
    model.set_attn_implementation("sdpa")
    expected = model.generate(ids, **options)
    model.set_attn_implementation(NAME)
    assert torch.equal(model.generate(ids, **options), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_cached_block_equals_the_whole_row(kind):
    """Question and block 0 go into the cache; block 1 follows with its own visibility."""
    model, whole = tiny(kind).eval(), ladir_tokens(5, [3, 4], 0)
    model.set_attn_implementation(NAME)
    ids = torch.randint(3, VOCABULARY, (1, whole.length))
    cut = 10
    with torch.no_grad():
        expected = model(ids, visibility=Visibility.of(whole), use_cache=False).logits
        first = model(ids[:, :cut], visibility=Visibility.of(whole.narrow(0, cut)), use_cache=True)
        # The cache's name in transformers changed in the range of versions supported.
        name = "cache" if "cache" in first else "past_key_values"
        later = Visibility.with_cache(whole.narrow(0, cut), whole.narrow(cut))
        second = model(ids[:, cut:], visibility=later, use_cache=True, **{name: first[name]})
    torch.testing.assert_close(first.logits, expected[:, :cut], atol=1e-10, rtol=0)
    torch.testing.assert_close(second.logits, expected[:, cut:], atol=1e-10, rtol=0)


def test_visibility_and_padding_mask_apply_together():
    model, ids = tiny("llama"), torch.randint(3, VOCABULARY, (2, 16))
    visibility = layouts.block_diffusion(8, 4, batch=2)
    present = torch.ones(2, 16, dtype=torch.long)
    present[1, 2] = 0
    mine = run(model, NAME, ids, visibility=visibility, attention_mask=present)
    both = visibility.with_padding(present.bool()).dense()
    theirs = run(model, "sdpa", ids, attention_mask=(both | torch.eye(16).bool())[:, None])
    assert_same(mine, theirs, rows=present.bool())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bool, torch.long])
@pytest.mark.parametrize("kind", KINDS)
def test_dense_masks_are_refused(kind, dtype):
    model, ids = tiny(kind), torch.randint(3, VOCABULARY, (1, 6))
    model.set_attn_implementation(NAME)
    mask = torch.ones(6, 6).tril().to(dtype)[None, None]
    words = "added to the scores, not" if dtype.is_floating_point else "no dense mask"
    with pytest.raises(ValueError, match=words):
        model(ids, attention_mask=mask)


def test_dropout_is_refused_with_what_to_set():
    model = tiny("llama").train()
    model.set_attn_implementation(NAME)
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.1
    with pytest.raises(ValueError, match="attention_dropout"):
        model(torch.randint(3, VOCABULARY, (1, 6)))


def test_positions_that_restart_need_a_visibility():
    """transformers reads them as packing, which must not be lost silently."""
    model, ids = tiny("llama"), torch.randint(3, VOCABULARY, (1, 6))
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]])
    model.set_attn_implementation(NAME)
    with pytest.raises(ValueError, match="pass visibility="):
        model(ids, position_ids=positions, use_cache=False)
    packed = layouts.packed_causal([3, 3])
    mine = run(model, NAME, ids, position_ids=positions, visibility=packed)
    assert_same(mine, run(model, "sdpa", ids, position_ids=positions))


def test_sliding_windows_are_refused_only_where_they_hide_something():
    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        use_sliding_window=True,
        sliding_window=8,
        max_window_layers=1,
        pad_token_id=2,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).double()
    ids = torch.randint(3, VOCABULARY, (1, 12))
    assert_same(run(model, NAME, ids[:, :8]), run(model, "sdpa", ids[:, :8]))
    model.set_attn_implementation(NAME)
    for inputs in ({}, {"visibility": layouts.causal(12)}):
        with pytest.raises(ValueError, match="sliding window of 8"):
            model(ids, use_cache=False, **inputs)


def test_a_visibility_of_the_wrong_length_is_refused():
    model = tiny("llama")
    model.set_attn_implementation(NAME)
    with pytest.raises(ValueError, match="5 queries and 5 keys, q has 6"):
        model(torch.randint(3, VOCABULARY, (1, 6)), visibility=layouts.causal(5), use_cache=False)


def test_gradient_checkpointing_keeps_the_visibility():
    model, visibility = tiny("llama").train(), ladir([(6, [3, 2], 4)], copies=2)
    ids = torch.randint(3, VOCABULARY, visibility.shape[:2])
    expected = run(model, NAME, ids, visibility=visibility)
    model.gradient_checkpointing_enable()
    assert_same(run(model, NAME, ids, visibility=visibility), expected)


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_autocast_casts_as_it_does_for_torchs_own_attention(kind):
    # Rotary positions leave queries and keys in fp32 while values are already bf16.
    torch.manual_seed(2)
    ids = torch.randint(3, VOCABULARY, (2, 9))
    model = tiny(kind).float()
    found = {}
    for implementation in (NAME, "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.autocast("cpu", torch.bfloat16):
            found[implementation] = model(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(found[NAME], found["sdpa"], rtol=0.05, atol=0.05)
