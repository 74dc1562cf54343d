"""Train, evaluate and serve language models that reason in continuous latent space.

import latentreason
model = latentreason.load("runs/demo/coconut")
print(model.generate(["question ..."])[0].text)
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from latentreason.autoload import watch_transformers
from latentreason.data.example import Document, Example
from latentreason.errors import UserError

if TYPE_CHECKING:
    from latentreason.generation import Generation
    from latentreason.loading import load
    from latentreason.modeling import LatentModel
    from latentreason.recipes import load_recipe
    from latentreason.training import train

try:
    __version__ = version("latentreason")
except PackageNotFoundError:
    __version__ = "0.0.0"

__all__ = [
    "Document",
    "Example",
    "Generation",
    "LatentModel",
    "UserError",
    "__version__",
    "load",
    "load_recipe",
    "train",
]

# After this, AutoModelForCausalLM.from_pretrained knows our checkpoints.
watch_transformers()

_LAZY = {
    "Generation": "latentreason.generation",
    "LatentModel": "latentreason.modeling",
    "load": "latentreason.loading",
    "load_recipe": "latentreason.recipes",
    "train": "latentreason.training",
}


def __getattr__(name: str) -> Any:
    """Import the heavy parts when they are first asked for."""
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
