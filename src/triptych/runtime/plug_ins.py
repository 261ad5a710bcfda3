"""Plug-ins: what installed packages offer under a group of entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlugIn(Generic[T]):
    """One entry point: what it names, or why it cannot be used."""

    name: str
    value: str
    """``module:attribute``, as its package declares it."""
    found: T | Exception


@lru_cache(maxsize=1)
def declared(_path: tuple[str, ...]) -> EntryPoints:
    """Return the entry points of all packages on Python's path, which are read once.

    A start asks for six groups, and each time a file of every installed package would be read. What
    is installed while the process runs is not seen.
    """
    # Python 3.11 has another class for all groups together, with the same `select`.
    found: Any = entry_points()
    return cast("EntryPoints", found)


def plug_in_names(group: str) -> Sequence[str]:
    """Return the names of a group's entry points, in order, each once. Imports none of them."""
    return sorted({point.name for point in declared(tuple(sys.path)).select(group=group)})


def load_plug_ins(group: str, kind: type[T]) -> Sequence[PlugIn[T]]:
    """Import a group's entry points, in the order of their names.

    Never raises for a plug-in: one that cannot be imported, or is not a ``kind``, has the exception
    in its place, so that it can be reported and does not affect the others.
    """
    found = declared(tuple(sys.path)).select(group=group)
    points = sorted(found, key=lambda point: (point.name, point.value))
    return [PlugIn(point.name, point.value, _load(point, kind)) for point in points]


def load_named(
    group: str, kind: type[T], name_of: Callable[[T], str]
) -> tuple[Mapping[str, T], Mapping[str, str]]:
    """Import a group's entry points; return those that can be used, and why the others cannot.

    Both are by the entry point's name, which must be the plug-in's own; if two have the same name,
    the broken one's module is added to it. A plug-in that uses another's name is broken, and so is
    one that `load_plug_ins` could not load.
    """
    usable: dict[str, T] = {}
    broken: list[tuple[PlugIn[T], str]] = []
    for plug_in in load_plug_ins(group, kind):
        found = plug_in.found
        if isinstance(found, Exception):
            broken.append((plug_in, str(found)))
        elif (name := name_of(found)) != plug_in.name:
            broken.append((plug_in, f"{plug_in.value} is called {name!r}, not {plug_in.name!r}."))
        elif name in usable:
            broken.append((plug_in, f"There is another {name!r}."))
        else:
            usable[name] = found
    return usable, {_label(plug_in, usable): why for plug_in, why in broken}


def load_or_failing(
    group: str,
    kind: type[T],
    what: str,
    *,
    name_of: Callable[[T], str],
    failing: Callable[[str, Exception], T],
) -> Sequence[T]:
    """Import a group's entry points; return one of ``kind`` for each, in the order of their names.

    Never raises for a plug-in: one that `load_plug_ins` could not load, or whose name is taken, is
    what ``failing`` makes of its name and the reason. So users see it, and the others still run.
    ``what`` is the word for one of them.
    """
    by_name: dict[str, T] = {}
    for plug_in in load_plug_ins(group, kind):
        found = plug_in.found
        one = failing(plug_in.name, found) if isinstance(found, Exception) else found
        if name_of(one) in by_name:
            taken = ValueError(f"There is another {what} of the name {name_of(one)!r}.")
            one = failing(f"{plug_in.name} ({plug_in.value})", taken)
        by_name[name_of(one)] = one
    return tuple(by_name.values())


def _label(plug_in: PlugIn[T], usable: Mapping[str, T]) -> str:
    return f"{plug_in.name} ({plug_in.value})" if plug_in.name in usable else plug_in.name


def _load(point: EntryPoint, kind: type[T]) -> T | Exception:
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign module may raise anything
        return ImportError(f"{point.value}: {type(error).__name__}: {error}")
    if not isinstance(found, kind):
        return TypeError(f"{point.value} is of {type(found).__name__}, not a {kind.__name__}.")
    return found
