"""Building what makes previews of a source's pictures, in a server."""

from __future__ import annotations

from contextlib import AsyncExitStack

from triptych.acquire.previews import (
    PREVIEW_DEADLINE_S,
    PREVIEW_MAX_BYTES,
    PREVIEWS_AT_ONCE,
    Previews,
    Shrinks,
)
from triptych.fetch.body_budget import FIRST_BYTES, BodyBudget
from triptych.fetch.down_hosts import DownHosts, contact_limits
from triptych.fetch.fetcher import Fetcher
from triptych.fetch.host_throttle import HostThrottle
from triptych.settings.settings import Settings
from triptych.wiring.outbound import open_transports


def open_previews(settings: Settings, thumbnails: Shrinks, stack: AsyncExitStack) -> Previews:
    """Return what makes previews; ``stack`` closes its connections.

    Their bodies take the memory of one of the greatest at a time, whatever is asked for.

    Raises:
        SettingsError: the proxy or a request profile is not valid.
    """
    contacts, probes = contact_limits(PREVIEWS_AT_ONCE)
    transports = open_transports(settings, PREVIEWS_AT_ONCE + contacts + probes)
    stack.push_async_callback(transports.close)
    cap = min(PREVIEW_MAX_BYTES, settings.fetch_max_bytes)
    fetcher = Fetcher(
        transports,
        BodyBudget(cap + PREVIEWS_AT_ONCE * FIRST_BYTES, cap=cap, bodies=PREVIEWS_AT_ONCE),
        HostThrottle(concurrency=settings.host_concurrency, rate_per_s=settings.host_rate),
        DownHosts(contacts=contacts, probes=probes),
        deadline_s=PREVIEW_DEADLINE_S,
        max_redirects=settings.fetch_max_redirects,
        robots=settings.robots,
        opt_outs=settings.opt_outs,
    )
    stack.push_async_callback(fetcher.close)
    return Previews(fetcher, thumbnails)
