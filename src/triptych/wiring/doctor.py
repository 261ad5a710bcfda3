"""The checks of `triptych doctor`: each component that a worker needs, independently."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from triptych.database.roles import check_rights
from triptych.embedded.waits import Say, log_line
from triptych.errors import ObjectMissing, ReadsUnavailable, SettingsError, TriptychError
from triptych.gather.lists import list_parsers
from triptych.media.decoders import Decoders
from triptych.sealing.key_ring import FIELD as SEALING_KEY
from triptych.settings.settings import Settings
from triptych.shown_url import shown_text, shown_url
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.wiring.immediate_reads import open_projection, shown_reads_url
from triptych.wiring.installed_sources import installed_sources
from triptych.wiring.model_check import check_model
from triptych.wiring.object_store import open_objects
from triptych.wiring.sealing_keys import count_unsealed, is_open_to_others, key_file
from triptych.wiring.services import Services, connect, reach_database

SAMPLE_BRANDS = 50
"""The brands that changed last, whose objects are looked for."""
SAMPLE_ASSETS = 100
"""Assets of each of them."""
KEY_SOON = timedelta(days=30)
"""Time before a key expires in which that is said."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    what: str
    ok: bool
    says: str
    warns: bool = False
    """Whether work goes on without what is wrong."""


async def diagnose(settings: Settings, *, say: Say = log_line) -> Sequence[Finding]:
    """Check every component; a broken one does not hide the others.

    ``say`` shows the user one line for what takes long.
    """
    return [
        await _check("database", _database(settings, say)),
        await _check("role", _role(settings, say)),
        await _check("secrets", _secrets(settings, say)),
        await _reads(settings, say),
        await _check("objects", _objects(settings)),
        await _check("assets", _assets(settings, say)),
        await _embedder(settings, say),
        await _check("source", _source(settings)),
        await _check("sandbox", _sandbox()),
        await _check("keys", _keys(settings, say)),
    ]


async def _check(what: str, work: Awaitable[str]) -> Finding:
    try:
        return Finding(what, ok=True, says=shown_text(await work))
    except TriptychError as error:
        return Finding(what, ok=False, says=str(error))


async def _database(settings: Settings, say: Say) -> str:
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        brands = len(await services.stores.brands.brands())
        depths = await services.queue.depths()
        stalled = (await services.stores.runs.counts()).stalled
        schema = await services.stores.schema()
    dead = sum(depth.waiting for depth in depths if depth.queue.endswith("-dlq"))
    where = "embedded" if settings.embedded else "external"
    says = f"{where}, {schema.shown()}, queues exist; {brands} brands, {dead} dead letters waiting"
    return f"{says}; {stalled} stalled: `triptych runs --stalled`" if stalled else says


async def _reads(settings: Settings, say: Say) -> Finding:
    """Look for MongoDB, whose outage is a warning: Postgres answers instead."""
    try:
        async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
            return Finding("reads", ok=True, says=await _read_state(services))
    except ReadsUnavailable as error:
        says = f"{shown_reads_url(settings)}: {error} Postgres answers immediate reads instead."
        return Finding("reads", ok=True, says=says, warns=True)
    except TriptychError as error:
        return Finding("reads", ok=False, says=str(error))


async def _read_state(services: Services) -> str:
    async with open_projection(services.settings) as opened:
        if opened is None:
            return "Postgres"
        version = await opened.version()
        projections = services.stores.projections
        behind = await projections.behind(await opened.projection.open(await projections.lowers()))
    where = f"{shown_reads_url(services.settings)}, MongoDB {version}"
    if not behind:
        return f"{where}, shows all that is committed"
    greatest = max(seconds or 0.0 for seconds in behind.values())
    return (
        f"{where}, is behind with {len(behind)} brands, by {greatest:.0f} s: "
        "`triptych reads status`"
    )


async def _role(settings: Settings, say: Say) -> str:
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        role = await check_rights(services.stores.databases[0])
    return f"{role} owns its schema and can do nothing beyond"


async def _secrets(settings: Settings, say: Say) -> str:
    """Check that secrets in the database are sealed, and that nobody else reads the key.

    Raises:
        SettingsError: some are in plain text, or others may read the key.
    """
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        plain = await count_unsealed(services.stores.databases[0])
    if plain:
        raise SettingsError(
            f"Secrets are in the database in plain text ({plain}).",
            field=SEALING_KEY,
            remedy="Give a key, and run `triptych migrate`.",
        )
    path = key_file(settings)
    if path is not None and await asyncio.to_thread(is_open_to_others, path):
        raise SettingsError(
            f"Other accounts may read or write {path}.",
            field=SEALING_KEY,
            remedy=f"Run `chmod 600 {path}`; if others use this machine, make a new key, too.",
        )
    where = "no key: sources and webhooks with a secret are refused"
    if path is not None:
        where = f"the key is in {path}: keep a copy of it apart from the database's"
    elif settings.sealing_key is not None:
        where = f"the key is in {SEALING_KEY}"
    return f"none in plain text; {where}"


async def _keys(settings: Settings, say: Say) -> str:
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        keys = [key for key in await services.stores.access.keys() if key.revoked_at is None]
    now = datetime.now(UTC)
    expired = [key.name for key in keys if key.expires_at and key.expires_at <= now]
    soon = [
        f"{key.name} on {key.expires_at:%Y-%m-%d}"
        for key in keys
        if key.expires_at and now < key.expires_at <= now + KEY_SOON
    ]
    says = f"{len(keys)} that were not revoked" if keys else "none"
    says += f"; expired: {', '.join(expired)}" if expired else ""
    return f"{says}; expiring soon: {', '.join(soon)}" if soon else says


async def _source(settings: Settings) -> str:
    sources = await asyncio.to_thread(installed_sources, settings)
    broken = [f"{name} cannot be used: {why}" for name, why in sources.broken.items()]
    source = shown_url(settings.source) if settings.source else "none; each run names its own"
    return "; ".join([source, *broken])


async def _objects(settings: Settings) -> str:
    await open_objects(settings)
    return f"{shown_url(settings.store_url)} is writable"


async def _assets(settings: Settings, say: Say) -> str:
    """Look for the objects of a sample of assets.

    Raises:
        ObjectMissing: some are missing, have another size, or are known to be damaged.
    """
    looked, broken = 0, Counter[str]()
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        objects = await open_objects(settings, services.stores.damage)
        brands = [brand for brand in await services.stores.brands.brands() if brand.current_run]
        for brand in sorted(brands, key=lambda brand: -brand.version)[:SAMPLE_BRANDS]:
            assert brand.current_run is not None
            found = await services.stores.snapshots.assets_slice(
                brand.current_run, AssetFilter(), after=b"", limit=SAMPLE_ASSETS
            )
            sizes = {asset.object_key: asset.size_bytes for asset in found.rows}
            looked += len(sizes)
            broken[brand.name] += len(sizes) - len(await objects.present(sizes))
    if lost := broken.total():
        names = ", ".join(name for name, count in broken.items() if count)
        raise ObjectMissing(
            f"{lost} of {looked} objects that were looked for are missing or damaged.",
            remedy=f"Run these brands again: {names}. `triptych verify` looks at all of them.",
        )
    return (
        f"{looked} objects of the newest snapshots were looked for, all are there; "
        "`triptych verify` reads all"
    )


async def _embedder(settings: Settings, say: Say) -> Finding:
    """Load the model and try its test pair; a device that was passed over is a warning."""
    try:
        found = await asyncio.to_thread(check_model, settings, say=say)
    except TriptychError as error:
        return Finding("embedder", ok=False, says=str(error))
    return Finding("embedder", ok=True, says=shown_text(found.says), warns=found.warns)


async def _sandbox() -> str:
    missing = {
        "decoders": await asyncio.to_thread(_decoders_lack),
        "list parsers": await list_parsers.sandbox_lacks(),
    }
    return "; ".join(
        f"{who} run with less than they could: {', '.join(lacking)}"
        if lacking
        else f"{who} cannot write, reach the network, other files or other processes"
        for who, lacking in missing.items()
    )


def _decoders_lack() -> tuple[str, ...]:
    with closing(Decoders(1)) as decoders:
        return decoders.sandbox_lacks()
