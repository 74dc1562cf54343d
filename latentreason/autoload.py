"""Make transformers' Auto classes know our checkpoints as soon as `latentreason` is imported.

Registering needs the models, and with them torch; importing all that for `import latentreason` would
make every light use (data, recipes, --help) slow. So transformers is told of our model types only when
it looks one up.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

AUTO = "transformers.models.auto.configuration_auto"
PREFIX = "latentreason"
"""How the model types of all our methods begin."""


def watch_transformers() -> None:
    """Install the look-up, now or when transformers' Auto classes are imported."""
    module = sys.modules.get(AUTO)
    if module is not None and hasattr(module, "CONFIG_MAPPING"):
        _install(module)
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


class _ModelTypes(dict[str, Any]):
    """Registered configs by model type; the first look-up of one of ours registers them all."""

    _known = False

    def __contains__(self, key: object) -> bool:
        if isinstance(key, str) and key.startswith(PREFIX) and not self._known:
            self._known = True
            from latentreason.registry import register_all

            register_all()
        return super().__contains__(key)


class _Watcher(MetaPathFinder):
    """Sees transformers' Auto classes being imported, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != AUTO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_install(module: ModuleType) -> None:
                execute(module)
                _install(module)

            spec.loader.exec_module = execute_and_install  # type: ignore[method-assign]
        return spec


def _install(module: ModuleType) -> None:
    mapping = module.CONFIG_MAPPING
    if not isinstance(mapping._extra_content, _ModelTypes):
        mapping._extra_content = _ModelTypes(mapping._extra_content)
