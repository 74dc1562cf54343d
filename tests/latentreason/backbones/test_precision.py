"""Rotary frequencies stay exact, however a model comes to its precision."""

from __future__ import annotations

import pytest
import torch
from tiny import backbone_config

from latentreason.backbones import build_backbone
from latentreason.config import ModelConfig, OptimConfig, TokenizerConfig, TrainConfig
from latentreason.modeling import load_base
from latentreason.training.strategy import Strategy


def frequencies(model):
    return model.model.rotary_emb.inv_freq


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A Llama on disk, and its frequencies."""
    folder = tmp_path_factory.mktemp("llama")
    section = ModelConfig(
        config=backbone_config("llama"), tokenizer=TokenizerConfig(kind="word", vocab_size=64)
    )
    model, tokenizer = build_backbone(section, ["a b c"])
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder), frequencies(model)


def from_scratch(folder):
    section = ModelConfig(
        config=backbone_config("llama"),
        tokenizer=TokenizerConfig(kind="word", vocab_size=64),
        dtype="bfloat16",
    )
    return build_backbone(section, ["a b c"])[0]


def overridden(folder):
    section = ModelConfig(name=folder, config={"attention_dropout": 0.5}, dtype="bfloat16")
    return build_backbone(section, [])[0]


def base_of_a_checkpoint(folder):
    return load_base(folder, {"name": folder}, torch.bfloat16)[0]


@pytest.mark.parametrize("make", [from_scratch, overridden, base_of_a_checkpoint])
def test_a_model_in_bf16_has_the_frequencies_of_one_in_fp32(saved, make):
    folder, exact = saved
    model = make(folder)
    assert model.dtype == torch.bfloat16
    assert torch.equal(frequencies(model), exact)
    assert frequencies(model).dtype == torch.float32


def test_a_strategy_that_casts_the_whole_model_leaves_them(saved, monkeypatch):
    """DeepSpeed's engine does so where it trains in bf16."""
    folder, exact = saved
    model = load_base(folder, {"name": folder})[0]
    strategy = Strategy(TrainConfig(), OptimConfig())

    def engine(model, optimizer):
        return model.bfloat16(), optimizer

    monkeypatch.setattr(strategy.accelerator, "prepare", engine)
    strategy.prepare(model, OptimConfig())
    strategy.close()
    assert model.dtype == torch.bfloat16
    assert torch.equal(frequencies(model), exact)


def test_a_table_that_is_added_to_embeddings_is_cast_with_them():
    section = ModelConfig(
        config={"model_type": "xglm", "d_model": 32, "num_layers": 1, "attention_heads": 2,
                "ffn_dim": 32},
        tokenizer=TokenizerConfig(kind="word", vocab_size=64),
        dtype="bfloat16",
        attn_implementation="eager",
    )  # fmt: skip
    model, _ = build_backbone(section, ["a b c"])
    assert model(torch.tensor([[1, 2]])).logits.dtype == torch.bfloat16
