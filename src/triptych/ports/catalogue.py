"""The port Catalogue: the database, as the registry, the AI phase and readers use it."""

from __future__ import annotations

from typing import Protocol

from triptych.ports.access import Access
from triptych.ports.ai import Ai
from triptych.ports.browsing import Browsing
from triptych.ports.presence import Presence
from triptych.ports.reading import Reading
from triptych.ports.registry import Registry
from triptych.ports.retention import Retention
from triptych.ports.search import Search
from triptych.ports.steering import Steering
from triptych.ports.tasks import Tasks
from triptych.ports.webhooks import Webhooks


class Catalogue(
    Registry,
    Ai,
    Retention,
    Webhooks,
    Reading,
    Browsing,
    Search,
    Steering,
    Tasks,
    Access,
    Presence,
    Protocol,
):
    """The database: everything that is asked of it, put together."""

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless it answers and its schema is the one known here."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to repeat."""
        ...
