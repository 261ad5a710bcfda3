"""Building live status out of its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from triptych.access.authenticator import Authenticator
from triptych.live.hub_metrics import counted
from triptych.live.limits import Limits
from triptych.live.live_app import LiveApp, open_live_app
from triptych.wiring.database import Services


@asynccontextmanager
async def open_live(services: Services, authenticator: Authenticator) -> AsyncIterator[LiveApp]:
    """Yield the ASGI application of ``/ws``, running; to be served alone or as a route of another.

    Raises:
        DatabaseUnavailable: it cannot be reached at the start.
    """
    limits = Limits(clients=services.settings.live_clients)
    async with open_live_app(
        services.stores, services.queue, authenticator=authenticator, limits=limits
    ) as app:
        with counted(app.hub):
            yield app
