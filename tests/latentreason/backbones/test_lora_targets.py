"""Adapters only where merging them gives the model that was trained."""

from __future__ import annotations

import pytest
from tiny import backbone_config

from latentreason.backbones import build_backbone
from latentreason.backbones.lora import add_adapters
from latentreason.config import LoraConfig, ModelConfig, TokenizerConfig
from latentreason.errors import UserError


def backbone(tie):
    section = ModelConfig(
        config=backbone_config("llama", tie=tie),
        tokenizer=TokenizerConfig(kind="word", vocab_size=64),
    )
    return build_backbone(section, ["a b c"])[0]


@pytest.mark.parametrize(
    ("targets", "tie", "message"),
    [
        (["embed_tokens"], False, "embed_tokens is the table of embeddings"),
        (["q_proj", "model.embed_tokens"], False, "is the table of embeddings"),
        (["lm_head"], True, "lm_head is the table of embeddings, or a head that is tied to it"),
        (["foo"], False, r"\['foo'\]"),
    ],
)
def test_targets_that_cannot_be_adapted_are_named(targets, tie, message):
    with pytest.raises(UserError, match=rf"model\.lora\.targets: .*{message}"):
        add_adapters(backbone(tie), LoraConfig(rank=2, targets=targets), [])


def test_an_untied_head_can_be_adapted():
    adapted = add_adapters(backbone(False), LoraConfig(rank=2, targets=["lm_head", "q_proj"]), [])
    assert any("lm_head.lora_A" in name for name, _ in adapted.named_parameters())


def test_a_head_that_gets_rows_of_new_tokens_cannot():
    with pytest.raises(UserError, match=r"lm_head is .* or gets rows of new tokens; leave it out"):
        add_adapters(backbone(False), LoraConfig(rank=2, targets=["lm_head", "q_proj"]), [3, 4])
