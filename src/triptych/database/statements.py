"""SQL lives in ``sql/*.sql``; each statement has a name there and a name here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


@cache
def statements() -> Mapping[str, str]:
    """Return every named statement of the folder ``sql``."""
    found: dict[str, str] = {}
    folder = resources.files(__package__).joinpath("sql")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        parts = _NAME.split(file.read_text(encoding="utf-8"))[1:]
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                message = f"two statements are called {name}"
                raise RuntimeError(message)
            found[name] = text.strip()
    return MappingProxyType(found)
