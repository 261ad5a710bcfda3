"""Values of any type with a hostile text in every string, as a server could send them."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

MARKUP = "[blink red]PWNED[/nothing][link=https://evil.example]here"
CONTROLS = "\x1b]8;;https://evil.example\x07\x9b31m\x85\x7f\u202e\u2066\u200b"
HOSTILE = f"{MARKUP}{CONTROLS}"
DEPTH_MAX = 8
SEQUENCES = (list, Sequence, set, frozenset)


def hostile_value(kind: Any, depth: int = DEPTH_MAX) -> Any:
    """Return a value of a type, as full as it can be: no None, one entry in every collection."""
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or isinstance(kind, TypeVar) or depth == 0:
        return {"n": HOSTILE, HOSTILE: HOSTILE, "list": [HOSTILE]}
    if origin is Annotated:
        return hostile_value(args[0], depth)
    if origin in (Union, types.UnionType):
        return hostile_value(next(arg for arg in args if arg is not type(None)), depth)
    if origin is Literal:
        return args[0]
    if origin is tuple:
        return tuple(hostile_value(arg, depth - 1) for arg in args if arg is not ...)
    if origin in SEQUENCES or kind in SEQUENCES:
        return [hostile_value(args[0] if args else Any, depth - 1)]
    if origin in (dict, Mapping) or kind in (dict, Mapping):
        value = hostile_value(args[1] if args else Any, depth - 1)
        return {"n": value, HOSTILE: value}
    return _single(origin or kind, depth)


def _single(kind: Any, depth: int) -> Any:
    known: dict[Any, Any] = {
        str: HOSTILE,
        bool: True,
        int: 7,
        float: 0.5,
        bytes: b"x",
        UUID: UUID(int=7),
        datetime: datetime(2026, 1, 1, tzinfo=UTC),
        Path: Path("x"),
        type(None): None,
    }
    if kind in known:
        return known[kind]
    if issubclass(kind, Enum):
        return next(iter(kind))
    assert issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind), kind
    hints = get_type_hints(kind, include_extras=True)
    names = (
        kind.__struct_fields__
        if issubclass(kind, msgspec.Struct)
        else [field.name for field in dataclasses.fields(kind)]
    )
    return kind(**{name: hostile_value(hints[name], depth - 1) for name in names})


async def hostile_stream(kind: Any) -> AsyncIterator[Any]:
    """Yield one such value."""
    yield hostile_value(kind)
