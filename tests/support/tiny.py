"""Tiny models, tokenizers and examples, built in milliseconds from a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from latentreason.backbones import build_backbone
from latentreason.config import ModelConfig, TokenizerConfig
from latentreason.data.example import Example
from latentreason.modeling import LatentModel
from latentreason.registry import entry, model_class, settings_class

FAMILIES = ("gpt2", "llama", "qwen2", "qwen3")
WORDS = [f"w{number}" for number in range(12)]


def backbone_config(family: str, tie: bool = True, positions: int = 64, **more: Any) -> dict:
    """The recipe's `model.config` of a two-layer model of width 16."""
    if family == "gpt2":
        shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": positions}
        shape |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    else:
        shape = {
            "num_hidden_layers": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": positions,
        }
        if family == "qwen3":
            shape["head_dim"] = 8
    return {"model_type": family, "tie_word_embeddings": tie, **shape, **more}


def example(question_words: int, num_steps: int, number: int = 0) -> Example:
    """An example of chosen lengths; `number` varies its words."""
    words = [WORDS[(number * 5 + place * 7) % 12] for place in range(question_words)]
    steps = [f"{WORDS[(number + place) % 12]} {WORDS[place % 12]}" for place in range(num_steps)]
    return Example(" ".join(words), tuple(steps), WORDS[number % 12], {"id": str(number)})


def examples(count: int, max_steps: int = 3) -> list[Example]:
    """Examples of different lengths."""
    return [example(2 + number % 5, number % (max_steps + 1), number) for number in range(count)]


def build(
    family: str = "gpt2",
    method: str = "coconut",
    *,
    tie: bool = True,
    positions: int = 64,
    seed: int = 0,
    scale: float = 4.0,
    config: dict[str, Any] | None = None,
    tokenizer: str = "word",
    **settings: Any,
) -> LatentModel:
    """A model with random weights, far enough from flat logits that answers differ."""
    torch.manual_seed(seed)
    section = ModelConfig(
        config=backbone_config(family, tie, positions, **(config or {})),
        tokenizer=TokenizerConfig(kind=tokenizer, vocab_size=300),
    )
    texts = [" ".join(WORDS) + " ###"] * 2
    backbone, trained = build_backbone(section, texts)
    for parameter in backbone.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(scale)
    made = settings_class(method)(name=method, **{**entry(method).preset, **settings})
    made.check("test")
    return model_class(method).create(made, backbone, trained)


class ExactRMSNorm(nn.Module):
    """RMSNorm in the dtype of its input; Hugging Face's computes in fp32."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


def exact(model: LatentModel) -> LatentModel:
    """The model in fp64 throughout."""
    model = model.double()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__.endswith("RMSNorm"):
                setattr(parent, name, ExactRMSNorm(child))
    return model


def build_exact(family: str, method: str = "coconut", **options: Any) -> LatentModel:
    """`build` in fp64."""
    return exact(build(family, method, **options)).eval()


def batch_of(
    model: LatentModel, rows: Sequence[Example], stages: Sequence[int], index: Any = None
) -> dict[str, Any]:
    """Lay out each example for its stage and collate."""
    import numpy as np

    rng = np.random.default_rng(0)
    layouts = [model.layout(row, stage, rng) for row, stage in zip(rows, stages, strict=True)]
    return model.collate(layouts, list(range(len(rows))) if index is None else index)


def loss_of(model: LatentModel, batch: dict[str, Any]) -> Tensor:
    """The summed loss of a batch over its terms."""
    return sum(total * weight for total, weight in model(batch).values())


def gradients(model: LatentModel) -> dict[str, Tensor]:
    """Gradients by parameter name, cleared from the model."""
    found = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }
    model.zero_grad()
    return found


def assert_close(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    """All tensors equal to `tolerance`, absolutely."""
    assert ours.keys() == theirs.keys()
    for name in ours:
        gap = (ours[name] - theirs[name]).abs().max().item()
        assert gap <= tolerance, f"{name} differs by {gap}"
