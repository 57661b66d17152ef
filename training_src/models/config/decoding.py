# SPDX-License-Identifier: Apache-2.0
"""From a parsed text protobuf to typed dataclasses.

A field that a dataclass does not declare is an error that names it and its value; one that does not change what is
computed here is declared as accepted.
"""

import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from training_src.models.config import misspelling
from training_src.models.config.extractors import WAITING_FIELDS, not_built
from training_src.models.errors import ConfigError
from training_src.text_format import Identifier, Message, Value, dump

T = TypeVar("T")

# As the text format writes them.
BOOLEANS = {"true": True, "t": True, "True": True, "1": True, "false": False, "f": False, "False": False, "0": False}
# How many fields are told where none of them was meant.
MOST_SHOWN = 10
NAMES: dict[type, str] = {bool: "bool, which is true or false", int: "whole number", float: "number", str: "string"}


def only(value: Any) -> Any:
    """A field with this default, of which no other value is supported."""
    return field(default=value, metadata={"only": value})


def decode(kind: type[T], message: Message, path: str = "", root: type[Any] | None = None) -> T:
    """Fill a dataclass from a message.

    Args:
        kind: One of this module's dataclasses.
        message: Its fields as parsed.
        path: Where the message stands, for errors: `model.ssd`.
        root: The dataclass of the whole file, in which an unknown field may have its place; None for `kind`.

    Raises:
        ConfigError: If a field is unknown, unsupported, of the wrong type, or missing.
    """
    root = root or kind
    declared = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    accepted: frozenset[str] = getattr(kind, "ACCEPTED", frozenset())
    values: dict[str, Any] = {}
    for name, given in message.items():
        place = f"{path}.{name}" if path else name
        if name in accepted or not given:
            continue
        if name not in declared:
            way_out = _way_out(name, kind, path, root)
            raise ConfigError(f"{place}: {shown(given[-1])} is not supported; {way_out}")
        _check_choice(kind, name, hints[name], given, place)
        values[name] = _field(hints[name], given, place, root)
        metadata = declared[name].metadata
        if "only" in metadata and values[name] != metadata["only"]:
            allowed = metadata["only"]
            raise ConfigError(f"{place}: {shown(given[-1])} is not supported, only {shown(allowed)} is")
    _check_complete(kind, values, path)
    return kind(**values)


def _check_choice(kind: type[Any], name: str, hint: Any, given: list[Value], place: str) -> None:
    """Where a dataclass has an own way out for a field's values, it is told instead of the general one."""
    refusals: Mapping[str, Callable[[str, Collection[str]], str]] = getattr(kind, "REFUSALS", {})
    allowed = typing.get_args(hint)
    if name in refusals and isinstance(given[-1], str) and given[-1] not in allowed:
        raise ConfigError(f"{place}: {shown(given[-1])} is not supported; {refusals[name](given[-1], allowed)}")


def undeclared(kind: type[Any], message: Message, path: str = "") -> Iterator[str]:
    """Where a message holds fields that the dataclass neither declares nor accepts."""
    hints = typing.get_type_hints(kind)
    accepted: frozenset[str] = getattr(kind, "ACCEPTED", frozenset())
    for name, values in message.items():
        place = f"{path}.{name}" if path else name
        if name in accepted:
            continue
        if name not in {item.name for item in fields(kind)}:
            yield place
        for value in values:
            inner = _message_kind(hints.get(name))
            if inner and isinstance(value, Message):
                yield from undeclared(inner, value, place)


def _way_out(name: str, kind: type[Any], path: str, root: type[Any]) -> str:
    """What to do about a field that the message at a path has not."""
    if name in WAITING_FIELDS:
        return not_built(WAITING_FIELDS[name])
    own = [item.name for item in fields(kind)]
    known = {*own, *getattr(kind, "ACCEPTED", ())}
    if (bare := name.removeprefix("random_")) != name and bare in known:
        return f"did you mean {bare}?"
    if similar := misspelling.meant(name, known) or misspelling.with_more_words(name, known):
        return f"did you mean {similar}?"
    if elsewhere := sorted(set(_places(root, name))):
        if reachable := [place for place in elsewhere if _same_family(place, path)]:
            return f"it is a field of {' and of '.join(reachable[:2])}, so move or remove it"
        return f"it is a field of {' and of '.join(elsewhere[:2])}, which this model is not, so remove it"
    if len(own) <= MOST_SHOWN:
        return f"there are {', '.join(own)}"
    return "remove the field, or use another architecture" if path.startswith("model") else "remove the field"


def _same_family(place: str, path: str) -> bool:
    """Whether two places are not of two kinds of models."""
    families = [tuple(each.split(".")[:2]) for each in (place, path) if each.startswith("model.")]
    return len(set(families)) < 2


def _places(kind: type[Any], name: str, path: str = "") -> Iterator[str]:
    """The messages under a dataclass in which a field has its place."""
    accepted: frozenset[str] = getattr(kind, "ACCEPTED", frozenset())
    if path and (name in accepted or name in {item.name for item in fields(kind)}):
        yield path
    for field_name, hint in typing.get_type_hints(kind).items():
        inner = _message_kind(hint)
        if inner:
            yield from _places(inner, name, f"{path}.{field_name}" if path else field_name)


def _message_kind(hint: Any) -> type[Any] | None:
    """The dataclass in a field's type, alone, optional or repeated."""
    choices = typing.get_args(hint) if not isinstance(hint, type) else (hint,)
    return next((choice for choice in choices if isinstance(choice, type) and is_dataclass(choice)), None)


def _check_complete(kind: type[Any], values: Mapping[str, Any], path: str) -> None:
    place = path or "pipeline.config"
    empty = not values and getattr(kind, "MAY_BE_EMPTY", False)
    if getattr(kind, "ONE_OF", False) and len(values) != 1 and not empty:
        if (way_out := getattr(kind, "WAY_OUT_OF_SEVERAL", "")) and values:
            raise ConfigError(f"{place}: {' and '.join(values)} stand in one; {way_out}")
        choices = ", ".join(item.name for item in fields(kind))
        raise ConfigError(f"{place}: exactly one of {choices} must be set, not {len(values)}")
    for item in fields(kind):
        required = item.default is item.default_factory  # both are dataclasses.MISSING
        if required and item.name not in values:
            wanted = typing.get_type_hints(kind)[item.name]
            hint = f" ({', '.join(shown(v) for v in typing.get_args(wanted))})" if _is_literal(wanted) else ""
            raise ConfigError(f"{place}: {item.name} is not set, and has no default that could be taken{hint}")


def _field(hint: Any, given: list[Value], place: str, root: type[Any]) -> Any:
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        return tuple(_single(element, value, f"{place}[{index}]", root) for index, value in enumerate(given))
    if isinstance(hint, types.UnionType):
        hint = next(choice for choice in typing.get_args(hint) if choice is not type(None))
    return _single(hint, _merged(given), place, root)


def _merged(given: list[Value]) -> Value:
    """What protobuf makes of a field that is written several times: the last value, but messages are joined."""
    if len(given) == 1 or not all(isinstance(value, Message) for value in given):
        return given[-1]
    joined = Message()
    for message in given:
        assert isinstance(message, Message)
        for name, values in message.items():
            joined.setdefault(name, []).extend(values)
    return joined


def _single(hint: Any, value: Value, place: str, root: type[Any]) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, Message):
            raise ConfigError(f"{place}: {shown(value)} stands where a message {{ ... }} is expected")
        return decode(hint, value, place, root)  # type: ignore[arg-type]
    if _is_literal(hint):
        return _choice(typing.get_args(hint), value, place)
    return _scalar(hint, value, place)


def _choice(allowed: tuple[Any, ...], value: Value, place: str) -> Any:
    plain = {"true": True, "false": False}.get(value, value) if isinstance(value, Identifier) else value
    if plain in allowed:
        return str(plain) if isinstance(plain, str) else plain
    similar = misspelling.written_otherwise(str(plain), [choice for choice in allowed if isinstance(choice, str)])
    asked = f", did you mean {shown(similar)}? There are" if similar else ", only"
    raise ConfigError(f"{place}: {shown(value)} is not supported{asked} {', '.join(shown(each) for each in allowed)}")


def _scalar(hint: type, value: Value, place: str) -> bool | int | float | str:
    if hint is bool and str(value) in BOOLEANS and not (isinstance(value, str) and not isinstance(value, Identifier)):
        return BOOLEANS[str(value)]
    if hint is int and isinstance(value, int):
        return value
    if hint is float and isinstance(value, int | float):
        return _single_precision(value)
    if hint is float and isinstance(value, Identifier) and value.lstrip("-") in ("inf", "infinity", "nan"):
        return float(value)
    if hint is str and isinstance(value, str) and not isinstance(value, Identifier):
        return value
    way_out = f"; write {value:.0f}" if hint is int and isinstance(value, float) and value.is_integer() else ""
    raise ConfigError(f"{place}: {shown(value)} is no {NAMES.get(hint, hint.__name__)}{way_out}")


def _single_precision(value: float) -> float:
    """What protobuf keeps of a number, as the shortest decimal: 0.333299994469 is 0.3333."""
    return float(str(np.float32(value)))


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
