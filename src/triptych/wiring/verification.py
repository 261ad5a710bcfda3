"""Checking all stored objects, and repairing them, on this machine: `triptych verify`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from triptych.acquire.object_repair import ObjectRepair
from triptych.embedded.waits import Say, log_line
from triptych.settings.settings import Settings
from triptych.snapshots.object_check import Finding, Mend, ObjectCheck
from triptych.wiring.object_store import open_objects
from triptych.wiring.services import Services, connect, reach_database
from triptych.wiring.worker_process import open_fetcher


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be checked."""

    brands: Sequence[str]
    """Empty for all, with what no row names."""
    quick: bool
    repair: bool
    at_once: int
    first: int
    """The folder to begin with, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A check under way: its state, and what it finds."""

    check: ObjectCheck
    findings: AsyncIterator[Finding]


@asynccontextmanager
async def open_verification(
    settings: Settings, wanted: Wanted, *, say: Say = log_line
) -> AsyncIterator[Verification]:
    """Yield a check of the objects of a database, and close what it needs.

    ``say`` shows the user one line for what takes long.

    Raises:
        BrandNotFound: there is no brand of that name.
        DatabaseUnavailable, StoreUnavailable, SettingsError: names what is missing and the remedy.
    """
    async with (
        AsyncExitStack() as stack,
        reach_database(settings, say=say) as dsn,
        connect(settings, dsn) as services,
    ):
        stores = services.stores
        for brand in wanted.brands:
            await stores.brands.brand(brand)
        store = await open_objects(settings)
        mend = await _repair(services, stack) if wanted.repair else None
        check = ObjectCheck(
            store, stores.damage, quick=wanted.quick, at_once=wanted.at_once, mend=mend
        )
        async with stores.stored_rows.open(wanted.brands) as pages:
            walk = check.brands if wanted.brands else check.everything
            yield Verification(check, walk(pages, wanted.first))


async def _repair(services: Services, stack: AsyncExitStack) -> Mend:
    settings = services.settings
    fetcher = await stack.enter_async_context(open_fetcher(settings, services.stores.brands))
    objects, stores = await open_objects(settings), services.stores
    versions = None
    if settings.store_url.startswith("s3:"):
        # Imported here because botocore takes as long to import as the rest of a command.
        from triptych.wiring.s3_versions import S3Versions

        versions = S3Versions(settings.store_url)
        stack.push_async_callback(versions.close)
    return ObjectRepair(fetcher, objects, stores.damage, stores.brands, versions).mend
