"""What commands ask of a Triptych: of the one here, or of a server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from triptych.cli.exporting import export_to_folder
from triptych.client import Client, open_client
from triptych.errors import BadInput, BrandNotFound
from triptych.live.watch import watch
from triptych.messages import check_brand
from triptych.model import AiState, Asset, Brand, Insight, Reason, Run
from triptych.queues.queue import QueueDepth
from triptych.runs.run_store import FailureGroup
from triptych.settings.settings import Settings
from triptych.snapshots.asset_ids import read_asset_id
from triptych.snapshots.search_service import Matches, SearchService, Where
from triptych.wiring.services import Services, connect, reach_database
from triptych.wiring.web_server import open_search
from triptych.workers.indexer import Indexer

CATCH_UP_S = 30.0
"""What a search waits for snapshots to be searched across brands: after `triptych run` no worker
is left to see to it."""


@dataclass(frozen=True, slots=True)
class AssetPage:
    """Some of a brand's assets."""

    assets: Sequence[Asset]
    total: int
    after: str | None
    """Where to go on; None at the end."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the AI phase found in a brand's current snapshot."""

    brand: str
    run: UUID | None
    ai_state: AiState
    ai_reason: str | None
    insights: Sequence[Insight]


class Desk(Protocol):
    """Whom commands ask. What cannot be answered is raised as an error of `triptych.errors`."""

    async def start(self, brand: str, source: str | None) -> Run:
        """Start a run of a brand, or return its active one."""
        ...

    async def reembed(self, brand: str) -> Run:
        """Open a run that embeds a brand's snapshot anew."""
        ...

    async def steer(self, verb: str, run_id: UUID) -> Run:
        """Pause, resume or cancel a run; return how it stands."""
        ...

    async def redrive(self, run_id: UUID, reasons: Sequence[Reason]) -> Run:
        """Try a run's failed items again, those of some reasons or all; return the new run."""
        ...

    def watch(self, run_id: UUID) -> AsyncIterator[Run]:
        """Yield a run's states until it and its AI phase are over."""
        ...

    async def run(self, run_id: UUID) -> Run:
        """Return a run."""
        ...

    async def newest(self, brand: str) -> Run | None:
        """Return a brand's newest run."""
        ...

    async def brands(self) -> Sequence[Brand]:
        """Return all brands."""
        ...

    async def depths(self) -> Sequence[QueueDepth]:
        """Return how deep the queues are."""
        ...

    async def assets(self, brand: str, limit: int, after: str | None) -> AssetPage:
        """Return some of a brand's assets."""
        ...

    async def failures(self, run_id: UUID, examples: int) -> Sequence[FailureGroup]:
        """Return what failed in a run."""
        ...

    async def export(self, brand: str, kind: str, folder: Path) -> tuple[Sequence[Path], int]:
        """Write a brand's snapshot into a folder; return the files and the number of assets."""
        ...

    async def insights(self, brand: str) -> Found:
        """Return what the AI phase found in a brand."""
        ...

    async def by_text(self, text: str, where: Where) -> Matches:
        """Search by text."""
        ...

    async def by_image(self, body: bytes, where: Where) -> Matches:
        """Search by a picture."""
        ...

    async def by_asset(self, asset: str, where: Where) -> Matches:
        """Search by an asset."""
        ...


class LocalDesk:
    """The database and the objects that the settings name."""

    def __init__(self, settings: Settings, parts: Services) -> None:
        self._settings = settings
        self._parts = parts
        self.watch = lambda run_id: watch(parts.stores.runs, parts.stores.changes, run_id)

    async def start(self, brand: str, source: str | None) -> Run:
        """See `Desk.start`."""
        return (await self._parts.registry.open(check_brand(brand), source=source)).run

    async def reembed(self, brand: str) -> Run:
        """See `Desk.reembed`."""
        return (await self._parts.registry.reembed(brand)).run

    async def steer(self, verb: str, run_id: UUID) -> Run:
        """See `Desk.steer`."""
        steered: Run = await getattr(self._parts.registry, verb)(run_id)
        return steered

    async def redrive(self, run_id: UUID, reasons: Sequence[Reason]) -> Run:
        """See `Desk.redrive`."""
        return await self._parts.registry.redrive(run_id, reasons=reasons or None)

    async def run(self, run_id: UUID) -> Run:
        """See `Desk.run`."""
        return await self._parts.stores.runs.run(run_id)

    async def newest(self, brand: str) -> Run | None:
        """See `Desk.newest`."""
        runs = await self._parts.stores.runs.runs(brand, limit=1)
        return runs[0] if runs else None

    async def brands(self) -> Sequence[Brand]:
        """See `Desk.brands`."""
        return await self._parts.stores.brands.brands()

    async def depths(self) -> Sequence[QueueDepth]:
        """See `Desk.depths`."""
        return await self._parts.queue.depths()

    async def assets(self, brand: str, limit: int, after: str | None) -> AssetPage:
        """See `Desk.assets`; ``after`` is the last key in hexadecimal.

        Raises:
            BadInput: it is none.
        """
        try:
            key = bytes.fromhex(after) if after else None
        except ValueError as error:
            raise BadInput(
                "Not a key.", field="--after", remedy="Copy it from the list."
            ) from error
        found = await self._parts.stores.brands.brand(brand)
        if found.current_run is None:
            return AssetPage([], 0, None)
        page = await self._parts.stores.snapshots.assets(found.current_run, after=key, limit=limit)
        more = page[-1].key.hex() if len(page) == limit else None
        return AssetPage(page, found.assets, more)

    async def failures(self, run_id: UUID, examples: int) -> Sequence[FailureGroup]:
        """See `Desk.failures`."""
        return await self._parts.stores.runs.failures(run_id, examples=examples)

    async def export(self, brand: str, kind: str, folder: Path) -> tuple[Sequence[Path], int]:
        """See `Desk.export`."""
        return await export_to_folder(
            self._settings,
            self._parts.stores.brands,
            self._parts.stores.snapshots,
            brand,
            kind,
            folder,
        )

    async def insights(self, brand: str) -> Found:
        """See `Desk.insights`."""
        known = await self._parts.stores.brands.brand(brand)
        if known.current_run is None:
            return Found(brand, None, AiState.NONE, None, [])
        run = await self._parts.stores.runs.run(known.current_run)
        found = await self._parts.stores.snapshots.insights(run.id)
        return Found(brand, run.id, run.ai_state, run.ai_reason, found)

    async def by_text(self, text: str, where: Where) -> Matches:
        """See `Desk.by_text`."""
        async with self._searching(where) as room:
            return await room.by_text(text, where)

    async def by_image(self, body: bytes, where: Where) -> Matches:
        """See `Desk.by_image`."""
        async with self._searching(where) as room:
            return await room.by_image(body, where)

    async def by_asset(self, asset: str, where: Where) -> Matches:
        """See `Desk.by_asset`."""
        brand, key = read_asset_id(asset)
        async with self._searching(where) as room:
            return await room.by_asset(brand, key, where)

    @asynccontextmanager
    async def _searching(self, where: Where) -> AsyncIterator[SearchService]:
        async with open_search(self._settings, self._parts.stores) as room:
            if where.brand is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(CATCH_UP_S):
                        await Indexer(self._parts.stores.search).catch_up()
            yield room


class RemoteDesk:
    """A server's."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.watch = client.watch
        self.run = client.run
        self.brands = client.brands
        self.depths = client.depths
        self.reembed = client.reembed

    async def start(self, brand: str, source: str | None) -> Run:
        """See `Desk.start`."""
        return await self._client.start(check_brand(brand), source=source)

    async def steer(self, verb: str, run_id: UUID) -> Run:
        """See `Desk.steer`."""
        return await self._client.steer(run_id, verb)

    async def redrive(self, run_id: UUID, reasons: Sequence[Reason]) -> Run:
        """See `Desk.redrive`."""
        return await self._client.redrive(run_id, reasons=reasons)

    async def newest(self, brand: str) -> Run | None:
        """See `Desk.newest`."""
        try:
            return (await self._client.brand(brand)).latest
        except BrandNotFound:
            return None

    async def assets(self, brand: str, limit: int, after: str | None) -> AssetPage:
        """See `Desk.assets`; ``after`` is a cursor of the server's."""
        total = (await self._client.brand(brand)).assets
        found, following = await self._client.assets(brand, limit=limit, cursor=after)
        return AssetPage(found, total, following)

    async def failures(self, run_id: UUID, examples: int) -> Sequence[FailureGroup]:
        """See `Desk.failures`."""
        return await self._client.failures(run_id, examples=examples)

    async def export(self, brand: str, kind: str, folder: Path) -> tuple[Sequence[Path], int]:
        """See `Desk.export`."""
        task = await self._client.export(brand, kind)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        files = []
        for file in task["result"]["files"]:
            # The server names it; it goes nowhere but into the folder.
            path = folder / Path(file["name"]).name
            await self._client.fetch_file(task["id"], file["name"], path)
            files.append(path)
        return files, task["result"]["assets"]

    async def insights(self, brand: str) -> Found:
        """See `Desk.insights`."""
        return Found(brand, *await self._client.insights(brand))

    async def by_text(self, text: str, where: Where) -> Matches:
        """See `Desk.by_text`."""
        return await self._client.search(text, **_query(where))

    async def by_image(self, body: bytes, where: Where) -> Matches:
        """See `Desk.by_image`."""
        return await self._client.search_by_image(body, **_query(where))

    async def by_asset(self, asset: str, where: Where) -> Matches:
        """See `Desk.by_asset`."""
        return await self._client.search_by_asset(asset, **_query(where))


def _query(where: Where) -> dict[str, str]:
    """Return where to search as the API is asked."""
    given = {
        "brand": where.brand,
        "limit": str(where.limit),
        "tag": where.matching.tag,
        "cluster": where.matching.cluster,
        "media_type": where.matching.media_type,
    }
    return {name: value for name, value in given.items() if value is not None}


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[Desk]:
    """Open the desk of the server that the settings name, or of what is here.

    Raises:
        SettingsError: the server's address is none.
        DatabaseUnavailable: nothing runs here.
    """
    if settings.server is not None:
        key = settings.server_key.get_secret_value() if settings.server_key else None
        async with open_client(settings.server, key) as client:
            yield RemoteDesk(client)
        return
    async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
        yield LocalDesk(settings, parts)


async def find_run(desk: Desk, name: str) -> Run:
    """Return the run of that id, or the newest run of the brand of that name.

    Raises:
        RunNotFound: no run has that id.
        BrandNotFound: it is no id, and no brand of that name has run.
    """
    try:
        run_id = UUID(name)
    except ValueError:
        found = await desk.newest(name)
        if found is None:
            raise BrandNotFound(
                f"There is no run and no brand {name!r}.",
                remedy="`triptych status` lists the brands.",
            ) from None
        return found
    return await desk.run(run_id)
