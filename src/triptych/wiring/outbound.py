"""Outbound HTTP requests: the address guard, the proxy, sessions and transports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from triptych.errors import SettingsError
from triptych.fetch.guard import AddressGuard
from triptych.fetch.request_profiles import PROXY_FIELD, Profiles, parse_proxy
from triptych.fetch.transport import TransportPool, open_session
from triptych.fetch.web_url import parse_web_url
from triptych.settings.addresses import read_ports
from triptych.settings.settings import Settings

if TYPE_CHECKING:
    from triptych.snapshots.reports.report import Summarise

SUMMARY_CONNECTIONS = 1


def address_guard(settings: Settings) -> AddressGuard:
    """Return the guard that decides which addresses may be reached."""
    return AddressGuard(settings.fetch_allow, [read_ports(text) for text in settings.fetch_ports])


def proxy(settings: Settings) -> URL | None:
    """Return the URL of the proxy that requests use, if any.

    Raises:
        SettingsError: the proxy's URL is not valid.
    """
    if settings.fetch_proxy is None:
        return None
    try:
        return parse_proxy(settings.fetch_proxy.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"{error}.", field=PROXY_FIELD) from None


def guarded_session(settings: Settings, limit: int) -> aiohttp.ClientSession:
    """Open a session for requests that do not fetch a source's URLs.

    Raises:
        SettingsError: the proxy's URL is not valid.
    """
    return open_session(
        address_guard(settings),
        limit=limit,
        proxy=proxy(settings),
        headers={"User-Agent": settings.user_agent},
    )


@asynccontextmanager
async def open_summary(settings: Settings) -> AsyncIterator[Summarise | None]:
    """Yield the client that writes summaries; None if no endpoint is set.

    Raises:
        SettingsError: the endpoint's URL is not valid, or the proxy's.
    """
    if settings.summary_url is None:
        yield None
        return
    base, mark, query = settings.summary_url.partition("?")
    try:
        url = parse_web_url(f"{base.rstrip('/')}/chat/completions{mark}{query}")
    except ValueError as error:
        raise SettingsError(
            f"It is not a URL ({error}).",
            field="TRIPTYCH_SUMMARY_URL",
            remedy="Write https://host/v1.",
        ) from error
    # Imported here because only reports need it.
    from triptych.snapshots.reports.summary import OpenAiSummary

    key = settings.summary_key.get_secret_value() if settings.summary_key else None
    async with guarded_session(settings, SUMMARY_CONNECTIONS) as session:
        yield OpenAiSummary(session, url, settings.summary_model, key)


def open_transports(settings: Settings, limit: int) -> TransportPool:
    """Return the transports that fetch sources' URLs, at most ``limit`` concurrently.

    Raises:
        SettingsError: the proxy or a request profile is not valid.
    """
    hidden = settings.fetch_profiles
    return TransportPool(
        address_guard(settings),
        limit=limit,
        user_agent=settings.user_agent,
        proxy=proxy(settings),
        profiles=Profiles.parse(hidden.get_secret_value() if hidden else None),
    )
