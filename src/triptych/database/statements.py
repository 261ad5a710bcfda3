"""Named SQL statements. SQL is in ``*.sql`` files next to the store that runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

PACKAGE = "triptych"
NO_STATEMENTS = frozenset({"migrations", "dashboard", "__pycache__"})
"""Folders without named statements."""

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def statements() -> Mapping[str, str]:
    """Return every named statement of the package.

    Raises:
        RuntimeError: two statements have one name.
    """
    found: dict[str, str] = {}
    for file in sorted(_files(resources.files(PACKAGE)), key=str):
        parts = _NAME.split(file.read_text(encoding="utf-8"))[1:]
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise RuntimeError(f"two statements are called {name}")
            found[name] = text.strip()
    return MappingProxyType(found)


def _files(folder: Traversable) -> Iterator[Traversable]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name not in NO_STATEMENTS:
                yield from _files(entry)
        elif entry.name.endswith(".sql"):
            yield entry
