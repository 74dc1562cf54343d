"""Symbolic ProsQA graphs and tiny models for them."""

from __future__ import annotations

import random

import torch
from tiny import backbone_config

from latentreason.backbones import build_backbone
from latentreason.config import ModelConfig, SplitConfig, TokenizerConfig
from latentreason.data import load_split
from latentreason.data.symbolic import symbolic_example
from latentreason.prompt import PromptConfig
from latentreason.registry import entry, model_class, settings_class

PROMPT = {"question": "{question}", "step": "{step}", "answer": "### {answer}"}


def graphs(size=12, **options):
    options = {"form": "symbolic", "path_lengths": [3, 4], **options}
    return load_split(SplitConfig(generator="prosqa", size=size, seed=0, options=options))


def chain(length=4):
    """0 -> 1 -> ... -> length, and the lone edge to a wrong option: one path, one node per layer."""
    edges = [[node, node + 1] for node in range(length)] + [[length + 1, length + 2]]
    graph = {"id": "chain", "num_nodes": length + 3, "edges": edges, "root": 0,
             "target": length, "neg_target": length + 2}  # fmt: skip
    return symbolic_example(graph, random.Random(0))


def build_symbolic(family="llama", method="coconut", **settings):
    torch.manual_seed(0)
    section = ModelConfig(
        config=backbone_config(family, positions=256),
        tokenizer=TokenizerConfig(kind="word", vocab_size=64),
    )
    words = [str(node) for node in range(31)]
    backbone, tokenizer = build_backbone(section, [" ".join([*words, "| [Q] [R] ###"])] * 2)
    for parameter in backbone.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(4.0)
    if method in ("coconut", "pause"):
        own = {"objective": "on_path", "max_stage": 4, "markers": False, "gold_thoughts": True}
        settings = {**own, "max_new_tokens": 1, **settings}
    made = settings_class(method)(
        name=method, prompt=PromptConfig(**PROMPT), **{**entry(method).preset, **settings}
    )
    made.check("test")
    return model_class(method).create(made, backbone, tokenizer)


def words_of(model, ids):
    return [model.tokenizer.convert_ids_to_tokens(token) for token in ids]
