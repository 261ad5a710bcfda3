"""Building what is served: the API with live status, or live status alone, behind the gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from triptych.access.authenticator import Authenticator
from triptych.access.balancer import Balancer, BalancerTokens, regional_keys_url
from triptych.access.host_policy import HostPolicy, is_loopback
from triptych.access.key_cache import ApiKeyCache
from triptych.access.rate_limiter import RateLimiter
from triptych.api.app import create_app
from triptych.api.http.dependencies import ApiContext
from triptych.api.http.paging import Cursors
from triptych.errors import SettingsError
from triptych.gather.source_registry import SourceRegistry
from triptych.live.live_app import LiveApp
from triptych.settings.settings import Settings
from triptych.wiring.components import address_guard, guarded_session, open_objects, open_thumbnails
from triptych.wiring.database import Services, connect
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
async def open_authenticator(services: Services) -> AsyncIterator[Authenticator]:
    """Build the gate that API and WebSocket share.

    Raises:
        SettingsError: everybody would have to be let in, or nobody could be.
    """
    settings = services.settings
    keys = ApiKeyCache(services.stores.access)
    open_ = is_open(settings)
    balancer = _balancer(settings)
    if not open_ and balancer is None and not await keys.any():
        raise SettingsError(
            f"The API is not open on {settings.api_host}, and there is no key for it.",
            field="TRIPTYCH_API_HOST",
            remedy="Make one with `triptych keys create NAME --scope operator`, or set "
            "TRIPTYCH_OIDC_SIGNER; without keys it serves loopback only.",
        )
    sites = HostPolicy(
        settings.allowed_hosts,
        settings.allowed_origins,
        any_host=not open_ and not settings.allowed_hosts,
    )
    async with AsyncExitStack() as stack:
        tokens = None
        if balancer is not None:
            session = await stack.enter_async_context(guarded_session(settings, KEY_CONNECTIONS))
            tokens = BalancerTokens(balancer, session)
        rates = RateLimiter(settings.api_rate, settings.api_burst)
        yield Authenticator(sites, keys, rates, open_=open_, balancer=tokens)


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
    """Raise the `SettingsError` that `open_authenticator` would, before a server is started."""
    async with connect(settings, dsn) as services, open_authenticator(services):
        return


@asynccontextmanager
async def open_web(services: Services) -> AsyncIterator[FastAPI]:
    """Build the app, live status on its port; close what it opened when it is done.

    Raises:
        SettingsError, StoreUnavailable: naming what cannot be used and the remedy.
    """
    settings = services.settings
    objects = await open_objects(settings)
    async with (
        open_authenticator(services) as authenticator,
        open_thumbnails(settings, objects) as thumbnails,
        open_live(services, authenticator) as live,
        open_search(settings, services.stores) as search,
    ):
        api = ApiContext(
            settings=settings,
            stores=services.stores,
            queue=services.queue,
            registry=services.registry,
            objects=objects,
            authenticator=authenticator,
            guard=address_guard(settings),
            cursors=Cursors(await services.stores.access.secret("cursor")),
            local=is_open(settings),
            thumbnails=thumbnails,
            search=search,
            sources=SourceRegistry.discover(),
        )
        yield create_app(api, live)


@asynccontextmanager
async def open_live_alone(services: Services) -> AsyncIterator[LiveApp]:
    """Build live status behind a gate of its own, to be served by itself.

    Raises:
        SettingsError: as `open_authenticator`.
    """
    async with (
        open_authenticator(services) as authenticator,
        open_live(services, authenticator) as app,
    ):
        yield app
