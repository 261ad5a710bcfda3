"""Building the search room out of its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from triptych.media.decoders import Decoders
from triptych.runtime.cpu import available_cores
from triptych.settings.settings import Settings
from triptych.snapshots.search_service import Models, SearchService
from triptych.wiring.models import LoadedModels
from triptych.wiring.stores import Stores


@asynccontextmanager
async def open_search(settings: Settings, stores: Stores) -> AsyncIterator[SearchService]:
    """Yield the search room; its models are loaded at the first search that needs one."""
    cores = available_cores()
    decoders = Decoders(cores)
    threads = ThreadPoolExecutor(cores, thread_name_prefix="search")
    models = LoadedModels(settings, threads=1)
    try:
        yield SearchService(
            stores.brands,
            stores.search,
            Models(models.embedder, models.text),
            decoders,
            threads,
            at_once=cores,
            max_pixels=settings.decode_max_pixels,
        )
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        decoders.close()
