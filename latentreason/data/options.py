"""Options of readers and generators: plain mappings from a recipe, checked against a dataclass."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from latentreason.errors import UserError, check_choice, nearest

Options = TypeVar("Options")


@dataclasses.dataclass
class NoOptions:
    """For readers that have nothing to choose."""


def build_options(cls: type[Options], values: Mapping[str, Any], owner: str) -> Options:
    """Return `cls(**values)` after checking names and types.

    Args:
        cls: the options dataclass.
        values: what the user wrote.
        owner: who has these options, for messages: 'reader "json"'.

    Raises:
        UserError: an unknown name (with the nearest known one), a value of another type, a value
            outside the allowed words.
    """
    hints = get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            allowed = ", ".join(known) if known else "it has none"
            raise UserError(
                f'options of {owner}: "{name}" is not known{nearest(str(name), known)}; '
                f"allowed: {allowed}"
            )
        _check(f"options of {owner}: {name}", value, hints[name])
    return cls(**{name: _plain(value) for name, value in values.items()})


def _plain(value: Any) -> Any:
    """Lists of any kind as `list`, so that dataclasses compare and print alike."""
    return list(value) if _is_list(value) else value


def _is_list(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes | Mapping)


def _check(argument: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is Literal:
        check_choice(argument, value, get_args(hint))
    elif not _fits(value, hint):
        raise UserError(f"{argument}: {value!r} does not fit; it has to be {_words(hint)}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value is of the type that an annotation names."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is list:
        return _is_list(value) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is type(None):
        return value is None
    if hint in (int, float) and isinstance(value, bool):
        return False
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_words(part) for part in get_args(hint))
    if get_origin(hint) is list:
        return f"a list, each item {_words(get_args(hint)[0])}"
    if hint is type(None):
        return "null"
    return names.get(hint, str(hint))
