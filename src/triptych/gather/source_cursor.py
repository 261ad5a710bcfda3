"""Cursors of sources that have to remember more than a number."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from triptych.errors import SourceRefused

T = TypeVar("T", bound=msgspec.Struct)


def write_cursor(state: msgspec.Struct) -> str:
    """Return a state as a cursor: the same state is the same text."""
    return msgspec.json.encode(state, order="deterministic").decode()


def read_cursor(kind: type[T], cursor: str | None) -> T:
    """Return the state that a cursor has; without one, the state of the beginning.

    Raises:
        SourceRefused: it is no cursor of this source.
    """
    if cursor is None:
        return kind()
    try:
        return msgspec.json.decode(cursor, type=kind)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise SourceRefused(
            f"{cursor[:100]!r} is not a cursor of this source.", remedy="Start the run again."
        ) from error
