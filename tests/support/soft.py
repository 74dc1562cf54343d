"""Tiny bases on disk, and SoftCoT models on them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tiny import WORDS, backbone_config
from tiny import exact as in_fp64
from torch import Tensor

from latentreason.backbones import build_backbone
from latentreason.backbones.load import load_backbone
from latentreason.backbones.lora import add_adapters
from latentreason.config import LoraConfig, ModelConfig, TokenizerConfig
from latentreason.data.example import Example
from latentreason.loading import pinned_base
from latentreason.methods.softcot.model import Model
from latentreason.methods.softcot.prompt import SoftPromptConfig
from latentreason.methods.softcot.settings import Settings

CHATTY = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
LORA = LoraConfig(rank=2, alpha=8.0)
_folder = tempfile.TemporaryDirectory()


def make_base(
    folder: Path,
    family: str,
    words: Sequence[str] = WORDS,
    template: str | None = None,
    scale: float = 4.0,
    **config: Any,
) -> str:
    """Write a base model with a tokenizer of its own; `scale` takes its weights from flat logits."""
    torch.manual_seed(len(folder.name))
    section = ModelConfig(
        config=backbone_config(family, **config),
        tokenizer=TokenizerConfig(kind="word", vocab_size=300),
    )
    # Words that occur more often have lower ids: the two bases number theirs differently.
    texts = [" ".join(words[: place + 1]) + " ###" for place in range(len(words))]
    model, tokenizer = build_backbone(section, texts)
    tokenizer.chat_template = template
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(scale)
    # Some families begin with zeros in the padding's row: the control "pause" would be "zero".
    model.get_input_embeddings().weight.data[tokenizer.pad_token_id].normal_(std=0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@functools.cache
def llm(family: str = "llama", **config: Any) -> str:
    """Folder of an LLM of width 16, one for the whole session."""
    name = "-".join(["llm", family, *map(str, config.values())])
    return make_base(Path(_folder.name) / name, family, **config)


@functools.cache
def assistant(family: str = "gpt2") -> str:
    """Folder of an assistant of width 24, which numbers the words in another order."""
    width = {"n_embd": 24} if family == "gpt2" else {"hidden_size": 24}
    return make_base(Path(_folder.name) / f"assistant-{family}", family, WORDS[::-1], **width)


def soft(
    *,
    base: str | None = None,
    reader: str | None = None,
    exact: bool = False,
    lora: bool = False,
    seed: int = 0,
    prompt: dict[str, Any] | None = None,
    **settings: Any,
) -> Model:
    """A SoftCoT model: `base` is the LLM, `reader` the assistant, `lora` trains the LLM as well."""
    named = {"assistant": ModelConfig(name=reader or assistant()), "num_thoughts": 3}
    named |= {"max_new_tokens": 6, "cache_states": False}
    chosen = SoftPromptConfig(**{"chat_template": False, **(prompt or {})})
    made = Settings(name="softcot", **{**named, "prompt": chosen, **settings})
    if made.num_chains > 1 and made.initial != "gaussian" and made.initial_ids is None:
        made.initial_ids = [2 + chain for chain in range(made.num_chains)]
    if made.initial_ids == []:
        made.initial_ids = None
    made.check("test")
    section = ModelConfig(name=base or llm())
    torch.manual_seed(seed)
    backbone, tokenizer = load_backbone(section)
    model = Model.create(made, backbone, tokenizer)
    model.config.base_model = pinned_base(section, backbone)
    if lora:
        model.language_model = add_adapters(model.language_model, LORA, [])
    stir_adapters(model)
    return in_fp64(model) if exact else model


def stir_adapters(model: Model) -> None:
    """Give adapters an effect: peft's begin with none."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)


def laid_out(model: Model, items: Sequence[Example]) -> list[Any]:
    """Layouts of examples, each with chance of its own."""
    return [model.layout(item, 0, np.random.default_rng(n)) for n, item in enumerate(items)]


def batch(model: Model, items: Sequence[Example]) -> dict[str, Any]:
    """Layouts of examples, collated."""
    return model.collate(laid_out(model, items), list(range(len(items))))


def mean_loss(model: Model, batch: dict[str, Any]) -> Tensor:
    """The loss as the trainer forms it: each term over its own count."""
    counts = batch["counts"]
    return sum(
        weight * total / counts[name]
        for name, (total, weight) in model(batch).items()
        if weight is not None
    )


def raw_by_hand(model: Model, question: str, chain: int, count: int) -> Tensor:
    """(L, A): the whole assistant over one unpadded prompt, its last hidden states at the block."""
    prompt = model.prompt.assistant(question, count)
    reader = model.assistant_lm
    embeds = reader.get_input_embeddings()(torch.tensor(prompt.ids))
    rows = model.initial_rows[chain].expand(count, -1)
    embeds = torch.cat([embeds[: prompt.start], rows])
    states = reader(inputs_embeds=embeds[None], output_hidden_states=True).hidden_states[-1]
    return states[0, prompt.start :]


def loss_by_hand(model: Model, item: Example, chain: int) -> Tensor:
    """Summed cross-entropy of one example and chain through the plain causal LM."""
    count = model.config.train_thoughts
    raw = raw_by_hand(model, item.question, chain, count)
    thoughts = raw @ model.projection.weight.T + model.projection.bias
    span = model.prompt.question(item.question, count)
    target = model.prompt.target_ids(item.steps, item.answer)
    embeds = model.causal_lm.get_input_embeddings()(torch.tensor([*span.ids, *target]))
    parts = [embeds[: span.start], thoughts.to(embeds), embeds[span.start + count :]]
    logits = model.causal_lm(inputs_embeds=torch.cat(parts)[None]).logits[0]
    predicted = logits[len(span.ids) - 1 : -1]
    return F.cross_entropy(predicted, torch.tensor(target), reduction="sum")


STATES = ("0", "1", "2", "m0", "m1", "m2")
"""Words of `state_tracking`, as `runs.tree` asks for it."""


@functools.cache
def trained_bases() -> tuple[str, str]:
    """Folders of an LLM and an assistant that read `state_tracking`."""
    root = Path(_folder.name)
    return (
        make_base(root / "state-llm", "llama", STATES),
        make_base(root / "state-assistant", "gpt2", STATES[::-1], n_embd=24),
    )


def recipe_words(*words: str, chains: int = 2) -> tuple[str, ...]:
    """What `runs.tree(method="softcot")` needs beside: a recipe of two epochs of five steps."""
    base, reader = trained_bases()
    rows = list(range(2, 2 + chains))
    return (
        "method.prompt={chat_template: false}",
        f"method.assistant.name={reader}",
        f"method.num_chains={chains}",
        f"method.initial_ids={rows}",
        "method.num_thoughts=2",
        "method.train_thoughts=3",
        f"model.name={base}",
        "model.config={}",
        "data.valid=null",
        "train.phases=[{stage: 0, epochs: 2}]",
        *words,
    )
