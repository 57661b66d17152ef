# SPDX-License-Identifier: Apache-2.0
"""From a parsed text protobuf to typed dataclasses.

A field that a dataclass does not declare is an error that names it and its value; one that does not change what is
computed here is declared as accepted.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import field, fields, is_dataclass
from typing import Any, Literal, TypeVar

from training_src.models.errors import ConfigError
from training_src.models.text_format import Identifier, Message, Value, dump

T = TypeVar("T")


def only(value: Any) -> Any:
    """A field with this default, of which no other value is supported."""
    return field(default=value, metadata={"only": value})


def decode(kind: type[T], message: Message, path: str = "") -> T:
    """Fill a dataclass from a message.

    Args:
        kind: One of this module's dataclasses.
        message: Its fields as parsed.
        path: Where the message stands, for errors: `model.ssd`.

    Raises:
        ConfigError: If a field is unknown, unsupported, of the wrong type, or missing.
    """
    declared = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    accepted: frozenset[str] = getattr(kind, "ACCEPTED", frozenset())
    values: dict[str, Any] = {}
    for name, given in message.items():
        place = f"{path}.{name}" if path else name
        if name in accepted:
            continue
        if name not in declared:
            raise ConfigError(
                f"{place}: {shown(given[-1])} is not supported; remove the field, or use another architecture"
            )
        values[name] = _field(hints[name], given, place)
        allowed = declared[name].metadata.get("only", values[name])
        if values[name] != allowed:
            raise ConfigError(f"{place}: {shown(given[-1])} is not supported, only {shown(allowed)} is")
    _check_complete(kind, values, path)
    return kind(**values)


def _check_complete(kind: type[Any], values: Mapping[str, Any], path: str) -> None:
    place = path or "pipeline.config"
    if getattr(kind, "ONE_OF", False) and len(values) != 1:
        choices = ", ".join(item.name for item in fields(kind))
        raise ConfigError(f"{place}: exactly one of {choices} must be set, not {len(values)}")
    for item in fields(kind):
        required = item.default is item.default_factory  # both are dataclasses.MISSING
        if required and item.name not in values:
            wanted = typing.get_type_hints(kind)[item.name]
            hint = f" ({', '.join(shown(v) for v in typing.get_args(wanted))})" if _is_literal(wanted) else ""
            raise ConfigError(f"{place}: {item.name} is not set, and its default is not supported{hint}")


def _field(hint: Any, given: list[Value], place: str) -> Any:
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        return tuple(_single(element, value, f"{place}[{index}]") for index, value in enumerate(given))
    if isinstance(hint, types.UnionType):
        hint = next(choice for choice in typing.get_args(hint) if choice is not type(None))
    return _single(hint, given[-1], place)


def _single(hint: Any, value: Value, place: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, Message):
            raise ConfigError(f"{place}: {shown(value)} stands where a message {{ ... }} is expected")
        return decode(hint, value, place)  # type: ignore[arg-type]
    if _is_literal(hint):
        plain = {"true": True, "false": False}.get(value, value) if isinstance(value, Identifier) else value
        if plain not in typing.get_args(hint):
            allowed = ", ".join(shown(choice) for choice in typing.get_args(hint))
            raise ConfigError(f"{place}: {shown(value)} is not supported, only {allowed}")
        return str(plain) if isinstance(plain, str) else plain
    return _scalar(hint, value, place)


def _scalar(hint: type, value: Value, place: str) -> bool | int | float | str:
    if hint is bool and isinstance(value, Identifier) and value in ("true", "false"):
        return value == "true"
    if hint is int and isinstance(value, int):
        return value
    if hint is float and isinstance(value, int | float):
        return float(value)
    if hint is str and isinstance(value, str) and not isinstance(value, Identifier):
        return value
    raise ConfigError(f"{place}: {shown(value)} is no {hint.__name__}")


def _is_literal(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal


def shown(value: object) -> str:
    if isinstance(value, Message):
        text = " ".join(dump(value).split())
        return "{ " + (text if len(text) <= 60 else text[:57] + "...") + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, Identifier) else repr(value)


def message_of(parent: Message, name: str) -> Message:
    value = parent[name][-1]
    if not isinstance(value, Message):
        raise ConfigError(f"{name}: {shown(value)} stands where a message {{ ... }} is expected")
    return value
