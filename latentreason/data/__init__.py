"""Data: readers and generators of examples, by name, and the fetching of official files."""

from __future__ import annotations

from latentreason.data.example import Document, Example
from latentreason.data.export import write_examples
from latentreason.data.generators import GENERATORS, Generator
from latentreason.data.readers import READERS, Reader
from latentreason.data.splits import load_split, read_examples

__all__ = [
    "GENERATORS",
    "READERS",
    "Document",
    "Example",
    "Generator",
    "Reader",
    "load_split",
    "read_examples",
    "write_examples",
]
