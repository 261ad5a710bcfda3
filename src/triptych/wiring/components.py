"""Opening the object store, the embedder and its text side, as the settings name them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from triptych.embedded.data_folder import MODELS, OBJECTS
from triptych.embedders.bundled import bundled_model
from triptych.embedders.class_names import ClassNameEncoder
from triptych.embedders.description import read_description
from triptych.embedders.download import fetched_model
from triptych.embedders.embedder import Embedder
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.embedders.onnx_text import OnnxTextEncoder
from triptych.embedders.text_encoder import TextEncoder
from triptych.errors import BadInput, SettingsError
from triptych.fetch.guard import AddressGuard
from triptych.fetch.request_profiles import PROXY_FIELD, parse_proxy
from triptych.fetch.transport import open_session
from triptych.gather.source_registry import SourceRegistry
from triptych.media.decoders import Decoders
from triptych.media.thumbnails import Thumbnails
from triptych.objects import ObjectStore, open_store
from triptych.runtime.cpu import available_cores
from triptych.settings.addresses import is_model_url, read_ports
from triptych.settings.settings import AUTO, Settings
from triptych.snapshots.reports.report import Summarise
from triptych.snapshots.reports.summary import OpenAiSummary

BUNDLED = "bundled"
NONE = "none"
SUMMARY_CONNECTIONS = 1
EMBED_BATCH = 4
"""Measured with the bundled model, a thread a core: images take 7.5 to 8.5 ms of processor time in
batches of up to eight, 9.5 in those of sixteen, whose layers no cache holds; a worker spends least
with four, and a tenth more where threads share a batch instead of taking one each."""


def address_guard(settings: Settings) -> AddressGuard:
    """Return what says which addresses may be reached."""
    return AddressGuard(settings.fetch_allow, [read_ports(text) for text in settings.fetch_ports])


def proxy(settings: Settings) -> URL | None:
    """Return the proxy that requests go through.

    Raises:
        SettingsError: it is none.
    """
    if settings.fetch_proxy is None:
        return None
    try:
        return parse_proxy(settings.fetch_proxy.get_secret_value())
    except ValueError as error:
        raise SettingsError(f"{error}.", field=PROXY_FIELD) from None


def installed_sources(settings: Settings) -> SourceRegistry:
    """Return the kinds of sources that are installed.

    Raises:
        SettingsError: the source that the settings name is of none of them.
    """
    sources = SourceRegistry.discover()
    if settings.source is not None:
        try:
            sources.check(settings.source, local=True)
        except BadInput as error:
            raise SettingsError(
                error.message, field="TRIPTYCH_SOURCE", remedy=error.remedy
            ) from error
    return sources


def guarded_session(settings: Settings, limit: int) -> aiohttp.ClientSession:
    """Open a session for requests that no source leads to.

    Raises:
        SettingsError: the proxy is none.
    """
    return open_session(
        address_guard(settings),
        limit=limit,
        proxy=proxy(settings),
        headers={"User-Agent": settings.user_agent},
    )


async def open_objects(settings: Settings) -> ObjectStore:
    """Open the object store and check that it can be used.

    Raises:
        StoreUnavailable: it cannot.
    """
    store = open_store(settings.store_url, settings.data / OBJECTS)
    await store.check()
    return store


@asynccontextmanager
async def open_thumbnails(
    settings: Settings, store: ObjectStore | None = None
) -> AsyncIterator[Thumbnails]:
    """Yield the thumbnails of the object store, with decoders of their own.

    Raises:
        StoreUnavailable: the object store cannot be used.
    """
    store = store or await open_objects(settings)
    cores = available_cores()
    decoders = Decoders(cores)
    thumbnails = Thumbnails(store, decoders, at_once=cores, max_pixels=settings.decode_max_pixels)
    try:
        yield thumbnails
    finally:
        await thumbnails.close()
        decoders.close()


def open_embedder(settings: Settings, threads: int) -> Embedder | None:
    """Load the embedder that the settings name; None for ``none``. Takes about a second.

    Fetches what is named by a URL, once. Not to be called from an event loop's thread.

    Raises:
        SettingsError: there is no such file.
        ModelError: it cannot be used, or fetched.
    """
    path = _model(settings)
    return None if path is None else OnnxEmbedder(path, threads=threads)


def open_text_encoder(
    settings: Settings, embedder: Embedder | None, threads: int = 1
) -> TextEncoder | None:
    """Load the text side of ``embedder``, which the same settings gave; None if it has none.

    Takes a second; some more at the first use of the bundled one. Not to be called from an event
    loop's thread.

    Raises:
        SettingsError: there is no such file.
        ModelError: it cannot be used, or fetched.
    """
    path = _model(settings)
    if path is None or embedder is None:
        return None
    if settings.embedder == BUNDLED:
        return ClassNameEncoder(path.parent, embedder, threads=threads)
    text = read_description(path).text
    if text is None:
        return None
    return OnnxTextEncoder(path.parent, text, embedder, threads=threads)


def embed_threads(settings: Settings) -> int:
    """Return how many calls of the model run at a time: this worker's share of the cores."""
    if settings.embed_threads != AUTO:
        return settings.embed_threads
    return max(1, available_cores() // settings.workers)


def embed_batch(settings: Settings) -> int:
    """Return how many images go through the model together."""
    return EMBED_BATCH if settings.embed_batch == AUTO else settings.embed_batch


def _model(settings: Settings) -> Path | None:
    """Return the file of the model that the settings name, made or fetched; None for ``none``."""
    if settings.embedder == NONE:
        return None
    folder = settings.data / MODELS
    if settings.embedder == BUNDLED:
        return bundled_model(folder)
    if is_model_url(settings.embedder):
        return fetched_model(
            settings.embedder,
            folder,
            guard=address_guard(settings),
            max_bytes=settings.embedder_max_bytes,
            proxy=proxy(settings),
        )
    path = Path(settings.embedder)
    if not path.is_file():
        raise SettingsError(
            f"There is no file {path}.",
            field="TRIPTYCH_EMBEDDER",
            remedy="Name an ONNX file, its https:// URL, `bundled` or `none`.",
        )
    return path


@asynccontextmanager
async def open_summary(settings: Settings) -> AsyncIterator[Summarise | None]:
    """Yield what writes summaries; None where no endpoint is set."""
    if settings.summary_url is None:
        yield None
        return
    key = settings.summary_key.get_secret_value() if settings.summary_key else None
    async with guarded_session(settings, SUMMARY_CONNECTIONS) as session:
        yield OpenAiSummary(session, settings.summary_url, settings.summary_model, key)
