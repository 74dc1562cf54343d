"""Foreign checkpoints: the released wrapper's state dict, and causal LMs with its three tokens."""

from __future__ import annotations

import functools
import json

import pytest
import torch
from runs import latentreason as command
from safetensors.torch import load_file, save_file
from slow_coconut import answer
from tiny import WORDS, backbone_config, exact, example

import latentreason
from latentreason.backbones import build_backbone
from latentreason.config import ModelConfig, TokenizerConfig
from latentreason.convert import convert
from latentreason_eval.api import evaluate

# The released code appends them in this order; ours is another.
RELEASED = ["<|start-latent|>", "<|end-latent|>", "<|latent|>"]
OPTIONS = {"method": "coconut", "stage": 3, "num_thoughts": 4,
           "settings": ["thoughts_per_step=2", "max_new_tokens=6"]}  # fmt: skip
NEOX = {"model_type": "gpt_neox", "num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 32,
        "num_attention_heads": 4, "max_position_embeddings": 64}  # fmt: skip


def foreign(tmp_path, family="gpt2", tie=True):
    """A base directory, and the model that the wrapper trained from it."""
    torch.manual_seed(0)
    section = ModelConfig(
        config=NEOX if family == "gpt_neox" else backbone_config(family, tie=tie),
        tokenizer=TokenizerConfig(kind="word", vocab_size=64),
    )
    model, tokenizer = build_backbone(section, [" ".join(WORDS) + " ###"] * 2)
    base = tmp_path / "base"
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    model.resize_token_embeddings(len(tokenizer) + 3, mean_resizing=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0).add_(0.01 * torch.randn_like(parameter))
    return base, model, tokenizer


def wrapped(model, prefix="base_causallm."):
    """The state dict as `torch.save` of the wrapper's has it: the embedding is in it twice."""
    state = {f"{prefix}{name}": tensor.clone() for name, tensor in model.state_dict().items()}
    outer = prefix.removesuffix("base_causallm.")
    return state | {
        f"{outer}embedding.weight": model.get_input_embeddings().weight.detach().clone()
    }


def assert_same_answers(folder, original, tokenizer):
    """The converted model thinks and answers as the original does in the slow, uncached loop."""
    loaded = exact(latentreason.load(folder))
    first = len(tokenizer)
    config = loaded.config
    ids = (config.start_latent_token_id, config.end_latent_token_id, config.latent_token_id)
    assert ids == (first, first + 1, first + 2)
    assert (config.stage, config.num_thoughts, config.thoughts_per_step) == (3, 4, 2)
    assert loaded.tokenizer.convert_tokens_to_ids(RELEASED) == list(ids)
    ours = loaded.language_model.state_dict()
    for name, tensor in original.double().state_dict().items():
        assert torch.equal(ours[name], tensor), name
    questions = [example(3 + n, 0, n).question for n in range(3)]
    fast = loaded.generate(questions, return_thoughts=True)
    for question, generation in zip(questions, fast, strict=True):
        slow, thoughts = answer(loaded, loaded.prompt.question_ids(question), 4, 6)
        assert generation.token_ids == slow
        assert (generation.thoughts - thoughts).abs().max() < 1e-9


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox"])
@pytest.mark.parametrize("prefix", ["base_causallm.", "module.base_causallm."])
def test_the_wrappers_state_dict_is_read(tmp_path, family, prefix):
    base, model, tokenizer = foreign(tmp_path, family)
    torch.save(wrapped(model, prefix), tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    assert_same_answers(tmp_path / "out", model, tokenizer)


def test_buffers_of_old_versions_are_left_out(tmp_path):
    base, model, tokenizer = foreign(tmp_path)
    state = wrapped(model)
    state["base_causallm.transformer.h.0.attn.bias"] = torch.ones(1, 1, 64, 64)
    torch.save(state, tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    assert_same_answers(tmp_path / "out", model, tokenizer)


@pytest.mark.parametrize("in_tokenizer", [True, False])
def test_a_causal_language_model_with_the_tokens_is_read(tmp_path, in_tokenizer):
    _, model, tokenizer = foreign(tmp_path)
    theirs = tmp_path / "theirs"
    model.save_pretrained(theirs)
    rows = len(tokenizer)
    if in_tokenizer:
        tokenizer.add_tokens(RELEASED)
    tokenizer.save_pretrained(theirs)
    convert(theirs, tmp_path / "out", **OPTIONS)
    assert_same_answers(tmp_path / "out", model, range(rows))


def test_an_untied_head_is_kept(tmp_path):
    base, model, tokenizer = foreign(tmp_path, "llama", tie=False)
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    assert_same_answers(tmp_path / "out", model, tokenizer)


def test_the_mean_of_thoughts_has_to_be_measured_first(tmp_path):
    base, model, _ = foreign(tmp_path)
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    loaded = latentreason.load(tmp_path / "out")
    with pytest.raises(ValueError, match='"mean" needs the mean thoughts'):
        loaded.generate(["w1 w2"], thought_mode="mean")
    loaded.statistics([example(3, 0, n) for n in range(4)])
    assert loaded.generate(["w1 w2"], thought_mode="mean")


def test_the_controls_of_a_converted_checkpoint_are_scored(tmp_path):
    base, model, _ = foreign(tmp_path)
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    data = tmp_path / "questions.jsonl"
    rows = [{"question": f"w{n} w2", "answer": "w3 #### 3"} for n in range(5)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ask = functools.partial(
        evaluate, str(tmp_path / "out"), "gsm8k", data=str(data), controls=True,
        out=tmp_path / "scores", show_progress=False, measure_latency=False,
    )  # fmt: skip
    scored = ask()
    assert [row["thought_mode"] for row in scored["controls"]] == [
        "none", "zero", "mean", "noise", "shuffle", "pause",
    ]  # fmt: skip
    assert "this split" in scored["thought_mean"]
    assert ask()["controls"] == scored["controls"], "a second time all of it is there"


def test_the_precision_of_the_weights_wins_over_the_bases(tmp_path):
    base, model, tokenizer = foreign(tmp_path)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    assert_same_answers(tmp_path / "out", model, tokenizer)


@pytest.mark.parametrize("head", [True, False])
def test_weights_of_two_precisions_are_not_rounded(tmp_path, head):
    base, model, tokenizer = foreign(tmp_path)
    with torch.no_grad():
        model.transformer.wte.weight.copy_(model.transformer.wte.weight.bfloat16())
    low = ("wte.weight", "lm_head.weight") if head else "wte.weight"
    state = wrapped(model)
    state |= {name: state[name].bfloat16() for name in state if name.endswith(low)}
    torch.save(state, tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    assert_same_answers(tmp_path / "out", model, tokenizer)


def test_a_tied_head_may_be_saved_once(tmp_path):
    base, model, tokenizer = foreign(tmp_path)
    state = wrapped(model)
    del state["base_causallm.lm_head.weight"]
    torch.save(state, tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    assert_same_answers(tmp_path / "out", model, tokenizer)


@pytest.mark.parametrize("lost", ["model.layers.1.mlp.up_proj.weight", "lm_head.weight", None])
def test_a_directory_that_lacks_weights_is_refused(tmp_path, lost):
    # Else transformers draws them at random. None: all bear the prefix of the wrapper.
    _, model, tokenizer = foreign(tmp_path, "llama", tie=False)
    tokenizer.add_tokens(RELEASED)
    theirs = tmp_path / "theirs"
    model.save_pretrained(theirs)
    tokenizer.save_pretrained(theirs)
    state = load_file(theirs / "model.safetensors")
    if lost:
        del state[lost]
    else:
        state = {f"base_causallm.{name}": tensor for name, tensor in state.items()}
    save_file(state, theirs / "model.safetensors", {"format": "pt"})
    message = f"lacks {lost}" if lost else "more of its weights, or has them under other names"
    with pytest.raises(ValueError, match=message):
        convert(theirs, tmp_path / "out", **OPTIONS)
    with pytest.raises(ValueError, match=message):
        build_backbone(ModelConfig(name=str(theirs)), [])
    with pytest.raises(ValueError, match=message):
        latentreason.load(theirs)


def test_our_own_checkpoint_that_lacks_a_weight_is_refused(tmp_path):
    base, model, _ = foreign(tmp_path)
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    convert(tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), **OPTIONS)
    state = load_file(tmp_path / "out" / "model.safetensors")
    del state["language_model.transformer.h.0.attn.c_attn.weight"]
    save_file(state, tmp_path / "out" / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lacks language_model\.transformer\.h\.0\.attn\.c_attn\.weight"
    ):
        latentreason.load(tmp_path / "out")


@pytest.mark.parametrize(
    ("stage", "num_thoughts", "per_step", "max_stage"),
    [(3, 6, 2, 3), (4, 6, 2, 3), (6, 6, 1, 6), (7, 6, 1, 6), (1, 3, 3, 1), (0, 0, 1, 0)],
)
def test_the_curriculum_follows_from_stage_and_thoughts(
    tmp_path, stage, num_thoughts, per_step, max_stage
):
    base, model, _ = foreign(tmp_path)
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    convert(
        tmp_path / "checkpoint_40", tmp_path / "out", base=str(base), method="coconut",
        stage=stage, num_thoughts=num_thoughts,
    )  # fmt: skip
    config = latentreason.load(tmp_path / "out").config
    assert (config.stage, config.num_thoughts) == (stage, num_thoughts)
    assert (config.thoughts_per_step, config.max_stage) == (per_step, max_stage)


def refused(
    tmp_path, message, source="checkpoint_40", state=None, out="out", files=None, **changes
):
    base, model, _ = foreign(tmp_path)
    torch.save(wrapped(model) if state is None else state(model), tmp_path / "checkpoint_40")
    for name, text in (files or {}).items():
        (tmp_path / name).unlink(missing_ok=True)
        if text is not None:
            (tmp_path / name).write_text(text)
    options = {"base": str(base), **OPTIONS, **changes}
    with pytest.raises(latentreason.UserError, match=message) as caught:
        convert(tmp_path / source, tmp_path / out, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def untied(model):
    state = wrapped(model)
    state["base_causallm.lm_head.weight"] = state["base_causallm.lm_head.weight"] + 1
    return state


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("base: .* is a state dict; name the backbone", {"base": None}),
        ("neither a state-dict file nor a model directory", {"source": "absent"}),
        ("begins with", {"state": lambda model: model.state_dict()}),
        ("something else", {"state": lambda model: {"epoch": 3}}),
        ("which its base ties", {"state": untied}),
        ("num_thoughts: 4 does not go with stage 1, which has 2", {"stage": 1}),
        ("stage: -1 is negative", {"stage": -1}),
        ("num_thoughts: -2 is negative", {"num_thoughts": -2}),
        ("num_thoughts: 5 does not go", {"num_thoughts": 5}),
        (
            "settings: thoughts_per_step=1 does not go with stage 3 and 6 thoughts",
            {"num_thoughts": 6, "settings": ["thoughts_per_step=1"]},
        ),
        (
            "settings: max_stage=3 does not go with stage 6 and 6 thoughts",
            {"stage": 6, "num_thoughts": 6, "settings": ["max_stage=3"]},
        ),
        ("method: cot has no converter", {"method": "cot", "settings": []}),
        ("thoughts_per_stage", {"settings": ["thoughts_per_stage=2"]}),
        ("base: .* would be ignored", {"source": "base"}),
        (
            r"source: .* cannot be read as a state dict \(EOFError\)",
            {"files": {"checkpoint_40": ""}},
        ),
        (
            "base: .* is no backbone with a config and a tokenizer",
            {"files": {"base/config.json": None}},
        ),
        (
            "base: .* is a latentreason checkpoint; name the backbone",
            {"files": {"base/config.json": '{"format_version": 1}'}},
        ),
        ("something else", {"state": lambda model: {1: torch.ones(2)}}),
        (
            "no floating-point weights",
            {"state": lambda model: {n: t.to(torch.int8) for n, t in wrapped(model).items()}},
        ),
        (
            "has no embedding.weight, and what this family",
            {"state": lambda model: {"base_causallm.gpt_neox.embed_in.weight": torch.ones(3, 2)}},
        ),
        (
            r"source: .* is a PEFT adapter; merge it first \(merge_and_unload",
            {"source": "base", "base": None, "files": {"base/adapter_config.json": "{}"}},
        ),
        ("out: .* is a file; give a folder", {"out": "base/config.json"}),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, message, changes):
    refused(tmp_path, message, **changes)


def test_tensors_of_another_shape_and_missing_rows_are_named(tmp_path):
    def cut(model):
        state = wrapped(model)
        del state["base_causallm.transformer.h.1.ln_1.weight"]
        return state

    refused(tmp_path, r"transformer.h.1.ln_1.weight and 0 more", state=cut)

    def short(model):
        model.resize_token_embeddings(model.config.vocab_size - 1)
        return wrapped(model)

    refused(tmp_path, "exactly three more rows", state=short)


def test_the_command_converts(tmp_path):
    base, model, tokenizer = foreign(tmp_path)
    torch.save(wrapped(model), tmp_path / "checkpoint_40")
    done = command(
        "convert", str(tmp_path / "checkpoint_40"), str(tmp_path / "out"), "--method", "coconut",
        "--stage", "3", "--num-thoughts", "4", "--base", str(base), "--set", "thoughts_per_step=2",
        "max_new_tokens=6",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "out")
    assert_same_answers(tmp_path / "out", model, tokenizer)
