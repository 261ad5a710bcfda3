"""The checks of `triptych doctor`: each component that a worker needs, independently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from triptych.embedded.waits import Say, log_line
from triptych.errors import TriptychError
from triptych.settings.settings import Settings
from triptych.wiring.installed_sources import installed_sources
from triptych.wiring.models import open_embedder, open_text_encoder
from triptych.wiring.object_store import open_objects
from triptych.wiring.services import connect, reach_database


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    what: str
    ok: bool
    says: str


async def diagnose(settings: Settings, *, say: Say = log_line) -> Sequence[Finding]:
    """Check every component; a broken one does not hide the others.

    ``say`` shows the user one line for what takes long.
    """
    return [
        await _check("database", _database(settings, say)),
        await _check("objects", _objects(settings)),
        await _check("embedder", _embedder(settings)),
        await _check("source", _source(settings)),
    ]


async def _check(what: str, work: Awaitable[str]) -> Finding:
    try:
        return Finding(what, ok=True, says=await work)
    except TriptychError as error:
        return Finding(what, ok=False, says=str(error))


async def _database(settings: Settings, say: Say) -> str:
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        brands = len(await services.stores.brands.brands())
        depths = await services.queue.depths()
    dead = sum(depth.waiting for depth in depths if depth.queue.endswith("-dlq"))
    where = "embedded" if settings.embedded else "external"
    return f"{where}, schema up to date, queues exist; {brands} brands, {dead} dead letters waiting"


async def _source(settings: Settings) -> str:
    sources = await asyncio.to_thread(installed_sources, settings)
    broken = [f"{name} cannot be used: {why}" for name, why in sources.broken.items()]
    return "; ".join([settings.source or "none; each run names its own", *broken])


async def _objects(settings: Settings) -> str:
    await open_objects(settings)
    return f"{settings.store_url} is writable"


async def _embedder(settings: Settings) -> str:
    return await asyncio.to_thread(_describe_embedder, settings)


def _describe_embedder(settings: Settings) -> str:
    embedder = open_embedder(settings, 1)
    if embedder is None:
        return "none: assets are stored without embeddings"
    text = open_text_encoder(settings, embedder)
    search = f"search by text with {text.model}" if text else "no text encoder: no search by text"
    return f"{embedder.model}, {embedder.dimension}-d, {embedder.input_size} px; {search}"
