"""Building what is served: the API with live status, or live status alone, behind the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from triptych.access.authenticator import Gate
from triptych.access.balancer import Balancer, BalancerTokens, regional_keys_url
from triptych.access.host_policy import Sites, is_loopback
from triptych.access.key_cache import KeyRing
from triptych.access.rate_limiter import Rates
from triptych.api.app import create_app
from triptych.api.http.dependencies import ApiParts
from triptych.api.http.paging import Cursors
from triptych.errors import SettingsError
from triptych.live.live_app import LiveApp
from triptych.settings.settings import Settings
from triptych.wiring.components import address_guard, guarded_session, open_objects, open_thumbnails
from triptych.wiring.database import Parts, connect
from triptych.wiring.live_status import open_live
from triptych.wiring.search_wiring import open_search

KEY_CONNECTIONS = 2


def is_open(settings: Settings) -> bool:
    """Tell whether no key is asked for: on loopback, under loopback's names only.

    A name that is set tells that something passes requests on to loopback.
    """
    return (
        is_loopback(settings.api_host)
        and not settings.allowed_hosts
        and settings.oidc_signer is None
    )


@asynccontextmanager
async def open_gate(parts: Parts) -> AsyncIterator[Gate]:
    """Build the gate that API and WebSocket share.

    Raises:
        SettingsError: everybody would have to be let in, or nobody could be.
    """
    settings = parts.settings
    keys = KeyRing(parts.stores.access)
    open_ = is_open(settings)
    balancer = _balancer(settings)
    if not open_ and balancer is None and not await keys.any():
        raise SettingsError(
            f"The API is not open on {settings.api_host}, and there is no key for it.",
            field="TRIPTYCH_API_HOST",
            remedy="Make one with `triptych keys create NAME --scope operator`, or set "
            "TRIPTYCH_OIDC_SIGNER; without keys it serves loopback only.",
        )
    sites = Sites(
        settings.allowed_hosts,
        settings.allowed_origins,
        any_host=not open_ and not settings.allowed_hosts,
    )
    async with AsyncExitStack() as stack:
        tokens = None
        if balancer is not None:
            session = await stack.enter_async_context(guarded_session(settings, KEY_CONNECTIONS))
            tokens = BalancerTokens(balancer, session)
        rates = Rates(settings.api_rate, settings.api_burst)
        yield Gate(sites, keys, rates, open_=open_, balancer=tokens)


def _balancer(settings: Settings) -> Balancer | None:
    if settings.oidc_signer is None:
        return None
    if settings.oidc_issuer is None:
        raise SettingsError(
            "It is not set, and TRIPTYCH_OIDC_SIGNER is.",
            field="TRIPTYCH_OIDC_ISSUER",
            remedy="Name the issuer that the load balancer's OIDC action has.",
        )
    return Balancer(
        signer=settings.oidc_signer,
        issuer=settings.oidc_issuer,
        client=settings.oidc_client,
        keys_url=settings.oidc_keys_url or regional_keys_url(settings.oidc_signer),
        operators=settings.oidc_operators,
    )


async def check_access(settings: Settings, dsn: str) -> None:
    """Raise the `SettingsError` that `open_gate` would, before a server is started."""
    async with connect(settings, dsn) as parts, open_gate(parts):
        return


@asynccontextmanager
async def open_web(parts: Parts) -> AsyncIterator[FastAPI]:
    """Build the app, live status on its port; close what it opened when it is done.

    Raises:
        SettingsError, StoreUnavailable: naming what cannot be used and the remedy.
    """
    settings = parts.settings
    objects = await open_objects(settings)
    async with (
        open_gate(parts) as gate,
        open_thumbnails(settings, objects) as thumbnails,
        open_live(parts, gate) as live,
        open_search(settings, parts.stores) as search,
    ):
        api = ApiParts(
            settings=settings,
            stores=parts.stores,
            queue=parts.queue,
            registry=parts.registry,
            objects=objects,
            gate=gate,
            guard=address_guard(settings),
            cursors=Cursors(await parts.stores.access.secret("cursor")),
            local=is_open(settings),
            thumbnails=thumbnails,
            search=search,
        )
        yield create_app(api, live)


@asynccontextmanager
async def open_live_alone(parts: Parts) -> AsyncIterator[LiveApp]:
    """Build live status behind a gate of its own, to be served by itself.

    Raises:
        SettingsError: as `open_gate`.
    """
    async with open_gate(parts) as gate, open_live(parts, gate) as app:
        yield app
