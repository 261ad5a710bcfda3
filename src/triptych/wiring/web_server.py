"""Building the served applications: the API with live status, or live status alone."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from triptych.access.authenticator import Authenticator
from triptych.access.host_policy import HostPolicy, is_loopback
from triptych.access.key_cache import ApiKeyCache
from triptych.access.local_caller import LocalCallers, Nobody, SameUser
from triptych.access.rate_limiter import RateLimiter
from triptych.api.app import create_app
from triptych.api.http.dependencies import ApiContext
from triptych.api.http.paging import Cursors
from triptych.errors import SettingsError
from triptych.gather.source_check import SourceChecker
from triptych.gather.source_registry import SourceRegistry
from triptych.live.hub_metrics import counted
from triptych.live.limits import Limits
from triptych.live.live_app import LiveApp, open_live_app
from triptych.media.shared_decoders import SharedDecoders
from triptych.runtime.cpu import available_cores
from triptych.runtime.shared_check import SharedCheck
from triptych.settings.settings import Settings
from triptych.snapshots.brand_relations import BrandRelations
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.snapshots.search_service import Models, SearchService
from triptych.uploads.upload_files import UploadFiles
from triptych.wiring.immediate_reads import open_reads
from triptych.wiring.installed_sources import source_opener, source_reach
from triptych.wiring.object_store import open_objects, open_thumbnails, signed_thumbnails
from triptych.wiring.outbound import address_guard, guarded_session
from triptych.wiring.previewing import open_previews
from triptych.wiring.server_decoders import server_decoder_count, server_decoders
from triptych.wiring.services import Services, connect
from triptych.wiring.stores import Stores

if TYPE_CHECKING:
    from triptych.access.balancer import Balancer
    from triptych.wiring.models import LoadedModels

KEY_CONNECTIONS = 2
READY_KEPT_S = 1.0
"""Seconds for which an answer of ``/readyz`` counts."""
READY_DEADLINE_S = 10.0
PRIVATE_RATE = 1_000_000
"""Requests a second from the one client of a private server: practically unlimited."""


def is_open(settings: Settings) -> bool:
    """Return whether requests need no key: on loopback, with loopback's host names only.

    If other host names are allowed, a proxy presumably forwards requests to loopback.
    """
    return (
        is_loopback(settings.api_host)
        and not settings.allowed_hosts
        and settings.oidc_signer is None
    )


def _callers(settings: Settings) -> LocalCallers:
    if is_open(settings):
        return SameUser()
    return Nobody("A server that other machines reach takes nobody for its own user.")


def private_authenticator(services: Services) -> Authenticator:
    """Build the authenticator of a server that only this process can reach: it needs no key."""
    return Authenticator(
        HostPolicy((), (), any_host=False),
        ApiKeyCache(services.stores.access),
        RateLimiter(PRIVATE_RATE, PRIVATE_RATE),
        open_=True,
        balancer=None,
    )


@asynccontextmanager
async def open_authenticator(services: Services) -> AsyncIterator[Authenticator]:
    """Build the authenticator that the API and WebSockets share.

    Raises:
        SettingsError: the API needs keys and there are none, or the OIDC settings are incomplete.
    """
    settings = services.settings
    keys = ApiKeyCache(services.stores.access)
    open_ = is_open(settings)
    balancer = _balancer(settings)
    if not open_ and balancer is None and not await keys.any():
        raise SettingsError(
            f"The API needs a key on {settings.api_host}, and there are no keys.",
            field="TRIPTYCH_API_HOST",
            remedy="Create one with `triptych keys create NAME --scope operator`, or set "
            "TRIPTYCH_OIDC_SIGNER. Without keys, the API can only listen on loopback.",
        )
    sites = HostPolicy(
        settings.allowed_hosts,
        settings.allowed_origins,
        any_host=not open_ and not settings.allowed_hosts,
    )
    async with AsyncExitStack() as stack:
        tokens = None
        if balancer is not None:
            from triptych.access.balancer import BalancerTokens

            session = await stack.enter_async_context(guarded_session(settings, KEY_CONNECTIONS))
            tokens = BalancerTokens(balancer, session)
        rates = RateLimiter(settings.api_rate, settings.api_burst)
        pictures = RateLimiter(
            settings.api_picture_rate,
            settings.api_picture_burst,
            setting="TRIPTYCH_API_PICTURE_RATE",
        )
        yield Authenticator(
            sites, keys, rates, picture_rates=pictures, open_=open_, balancer=tokens
        )


def _balancer(settings: Settings) -> Balancer | None:
    if settings.oidc_signer is None:
        return None
    if settings.oidc_issuer is None:
        raise SettingsError(
            "It must be set if TRIPTYCH_OIDC_SIGNER is set.",
            field="TRIPTYCH_OIDC_ISSUER",
            remedy="Set it to the issuer of the load balancer's OIDC action.",
        )
    # Imported here because its library for verifying signatures is slow to import.
    from triptych.access.balancer import Balancer, regional_keys_url

    try:
        return Balancer(
            signer=settings.oidc_signer,
            issuer=settings.oidc_issuer,
            client=settings.oidc_client,
            keys_url=settings.oidc_keys_url or regional_keys_url(settings.oidc_signer),
            operators=settings.oidc_operators,
        )
    except ValueError as error:
        raise SettingsError(
            f"It is not a URL ({error}).",
            field="TRIPTYCH_OIDC_KEYS_URL",
            remedy="Write https://host/{kid}, or leave it out.",
        ) from error


async def check_access(settings: Settings, dsn: str) -> None:
    """Raise the same `SettingsError` as `open_authenticator`, before a server is started."""
    async with connect(settings, dsn) as services, open_authenticator(services):
        return


@asynccontextmanager
async def open_live(services: Services, authenticator: Authenticator) -> AsyncIterator[LiveApp]:
    """Yield the running ASGI application of ``/ws``, to serve alone or as a route of another app.

    Raises:
        DatabaseUnavailable: the database cannot be reached at the start.
    """
    settings = services.settings
    limits = Limits(
        clients=settings.live_clients,
        clients_each=settings.live_clients_each,
        stalled_s=settings.stalled_s,
    )
    async with open_live_app(
        services.stores, services.queue, authenticator=authenticator, limits=limits
    ) as app:
        with counted(app.hub):
            yield app


@asynccontextmanager
async def open_search(settings: Settings, stores: Stores) -> AsyncIterator[SearchService]:
    """Yield the search service; its models are loaded at the first search that needs one."""
    cores, count = available_cores(), server_decoder_count()
    decoders = SharedDecoders(server_decoders(settings, count), count)
    threads = ThreadPoolExecutor(cores, thread_name_prefix="search")
    try:
        yield SearchService(
            stores.brands,
            stores.search,
            _models(settings),
            decoders,
            threads,
            at_once=cores,
            max_pixels=settings.decode_max_pixels,
        )
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        decoders.close()


def _models(settings: Settings) -> Models:
    """Return the models, loaded when first needed; from any thread."""
    lock = threading.Lock()
    loaded: list[LoadedModels] = []

    def load() -> LoadedModels:
        with lock:
            if not loaded:
                # Imported here: few commands search, and a model's runtime is slow to import.
                from triptych.wiring.models import LoadedModels

                loaded.append(LoadedModels(settings, threads=1))
            return loaded[0]

    return Models(lambda: load().embedder(), lambda: load().text())


@asynccontextmanager
async def open_web(services: Services) -> AsyncIterator[FastAPI]:
    """Build the app, including live status; close what was opened at the end.

    Raises:
        SettingsError, StoreUnavailable: names what cannot be used and the remedy.
    """
    async with (
        open_authenticator(services) as authenticator,
        open_app(services, authenticator, callers=_callers(services.settings)) as app,
    ):
        yield app


@asynccontextmanager
async def open_app(
    services: Services,
    authenticator: Authenticator,
    *,
    callers: LocalCallers,
    projected: bool = True,
) -> AsyncIterator[FastAPI]:
    """Build the app with an authenticator.

    Args:
        services: that it uses.
        authenticator: of its requests.
        callers: says who may name this machine's files.
        projected: whether MongoDB answers immediate reads, if the settings name one.

    Raises:
        SettingsError, StoreUnavailable: names what cannot be used and the remedy.
    """
    settings = services.settings
    objects = await open_objects(settings, services.stores.damage)
    async with (
        open_thumbnails(settings, objects) as thumbnails,
        open_live(services, authenticator) as live,
        open_search(settings, services.stores) as search,
        open_reads(services, projected=projected) as reads,
        AsyncExitStack() as stack,
    ):
        sources = SourceRegistry.discover()
        uploads = UploadFiles(services.stores.uploads, objects, max_bytes=settings.upload_max_bytes)
        api = ApiContext(
            settings=settings,
            stores=services.stores,
            reads=reads,
            queue=services.queue,
            registry=services.registry,
            objects=objects,
            authenticator=authenticator,
            guard=address_guard(settings),
            cursors=Cursors(await services.stores.access.secret("cursor")),
            callers=callers,
            reach=source_reach(settings),
            thumbnails=thumbnails,
            signed_thumbnails=await signed_thumbnails(settings, objects, thumbnails),
            search=search,
            relations=BrandRelations(services.stores.brands, services.stores.search),
            sources=sources,
            exports=ExportRegistry.discover(),
            source_checker=SourceChecker(
                source_opener(settings, sources, stack, uploads), source_reach(settings)
            ),
            previews=open_previews(settings, thumbnails, stack),
            uploads=uploads,
            ready=ready_check(services),
        )
        yield create_app(api, live)


def ready_check(services: Services) -> SharedCheck:
    """Return the check of ``/readyz``, which anybody may ask for without a key.

    The queues are checked until they have answered once: a server that has started reads and
    searches without them, so their outage is no reason to send it no more requests.
    """
    queue_answered = False

    async def check() -> None:
        nonlocal queue_answered
        await services.stores.check()
        if not queue_answered:
            await services.queue.check()
            queue_answered = True

    return SharedCheck(check, kept_s=READY_KEPT_S, deadline_s=READY_DEADLINE_S)


@asynccontextmanager
async def open_live_alone(services: Services) -> AsyncIterator[LiveApp]:
    """Build live status with an authenticator of its own, to serve it alone.

    Raises:
        SettingsError: see `open_authenticator`.
    """
    async with (
        open_authenticator(services) as authenticator,
        open_live(services, authenticator) as app,
    ):
        yield app
