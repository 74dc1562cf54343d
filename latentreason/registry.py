"""The methods by name. Adding one is a folder under `methods/` and a line here.

A name may be a preset of a method that another name shares: `pause` is Coconut's machinery with a
learned embedding in place of the hidden state.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

from latentreason.errors import check_choice


@dataclass(frozen=True)
class Entry:
    """Where a method lives: its package, a line for `latentreason ls`, and the preset's settings."""

    package: str
    summary: str
    preset: dict[str, Any] = field(default_factory=dict)


METHODS: dict[str, Entry] = {
    "coconut": Entry("latentreason.methods.coconut", "last hidden state fed back as next input"),
    "pause": Entry(
        "latentreason.methods.coconut",
        "pause-as-thought: the same curriculum, thoughts are a learned embedding",
        {"thought_source": "learned"},
    ),
    "pause_tokens": Entry(
        "latentreason.methods.coconut",
        "learned pause tokens between question and answer, no curriculum",
        {"thought_source": "learned", "curriculum": False, "markers": False},
    ),
    "no_thoughts": Entry(
        "latentreason.methods.coconut",
        "the same removal of steps with nothing in their place",
        {"thoughts_per_step": 0, "markers": False},
    ),
    "graph_warmup": Entry(
        "latentreason.methods.graph_warmup",
        "asks symbolic graphs for children of nodes: a start for every arm of a comparison",
    ),
    "softcot": Entry(
        "latentreason.methods.softcot",
        "a frozen assistant's states, mapped into a frozen LLM's prompt; SoftCoT++ with num_chains",
    ),
    "cot": Entry("latentreason.methods.text", "writes the steps in words, then the answer"),
    "no_cot": Entry("latentreason.methods.text", "answers directly", {"steps": "none"}),
    "icot": Entry(
        "latentreason.methods.text",
        "removes the chain of thought token by token from the left",
        {"steps": "internalized"},
    ),
}


def entry(name: str) -> Entry:
    """The registry's entry for a method name; UserError with the nearest name otherwise."""
    check_choice("method.name", name, METHODS)
    return METHODS[name]


def settings_class(name: str) -> Any:
    """The dataclass of the recipe's `method` section for a method name (imports no torch)."""
    return importlib.import_module(f"{entry(name).package}.settings").Settings


def model_class(name: str) -> Any:
    """The model class of a method name."""
    return importlib.import_module(f"{entry(name).package}.model").Model


def register_all() -> None:
    """Make every method's checkpoints known to transformers' Auto classes."""
    from transformers import AutoConfig, AutoModelForCausalLM

    for package in sorted({e.package for e in METHODS.values()}):
        model = importlib.import_module(f"{package}.model").Model
        config = model.config_class
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForCausalLM.register(config, model, exist_ok=True)
