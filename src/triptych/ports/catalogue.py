"""The port Catalogue: the database, as the registry, the AI phase and readers use it."""

from __future__ import annotations

from typing import Protocol

from triptych.ports.ai import Ai
from triptych.ports.reading import Reading
from triptych.ports.registry import Registry
from triptych.ports.retention import Retention


class Catalogue(Registry, Ai, Retention, Reading, Protocol):
    """The database: the registry's transactions, the AI phase's, letting go, and reading."""

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless it answers and its schema is the one known here."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to repeat."""
        ...
