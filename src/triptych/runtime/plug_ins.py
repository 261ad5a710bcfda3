"""Plug-ins: what installed packages offer under a group of entry points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlugIn(Generic[T]):
    """One entry point: what it names, or why that cannot be used."""

    name: str
    value: str
    """``module:attribute``, as its package declares it."""
    found: T | Exception


def plug_in_names(group: str) -> Sequence[str]:
    """Return the names of a group's entry points, in order, each once. Imports none of them."""
    return sorted({point.name for point in entry_points(group=group)})


def load_plug_ins(group: str, kind: type[T]) -> Sequence[PlugIn[T]]:
    """Import a group's entry points, in the order of their names.

    Never raises for a plug-in: one that cannot be imported, or is no ``kind``, has the exception
    in its place, so that it can be reported and breaks no other.
    """
    points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    return [PlugIn(point.name, point.value, _load(point, kind)) for point in points]


def _load(point: EntryPoint, kind: type[T]) -> T | Exception:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign module may raise anything
        return ImportError(f"{point.value}: {type(error).__name__}: {error}")
    if not isinstance(found, kind):
        return TypeError(f"{point.value} is of {type(found).__name__}, not a {kind.__name__}.")
    return found
