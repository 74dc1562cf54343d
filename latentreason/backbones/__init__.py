"""Backbones: any Hugging Face causal LM, and small ones built from a config in the recipe."""

from latentreason.backbones.load import build_backbone, load_backbone
from latentreason.backbones.tokenizers import train_tokenizer
from latentreason.backbones.tokens import add_tokens

__all__ = ["add_tokens", "build_backbone", "load_backbone", "train_tokenizer"]
