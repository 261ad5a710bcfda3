"""All three phases in the test's process: `open_local` with settings that are quick."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from tests.support.data_folder import provide, provide_models
from triptych.model import Asset, Run
from triptych.settings.settings import Settings
from triptych.wiring.local import Local, open_local
from triptych.wiring.models import BUNDLED

PATIENCE_S = 120.0
LOOPBACK = "127.0.0.0/8"


@asynccontextmanager
async def local_at(folder: Path, **settings: object) -> AsyncIterator[Local]:
    # A second decoder would take longer to start than it saves.
    knobs = {"embedder": "none", "add_idle_s": 1.0, "sweep_s": 0.2, "decoders": 1, **settings}
    await asyncio.to_thread(provide, folder / "data")
    if settings.get("embedder") == BUNDLED:
        await asyncio.to_thread(provide_models, folder / "data")
    loaded = Settings.load(data=folder / "data", fetch_allow=LOOPBACK, **knobs)
    async with open_local(loaded) as local:
        yield local


async def ended(local: Local, run_id: UUID, *, patience_s: float = PATIENCE_S) -> Run:
    """Wait until nothing more will happen to a run."""
    return await asyncio.wait_for(local.wait(run_id), patience_s)


async def snapshot(local: Local, brand: str) -> list[Asset]:
    """Return the assets of a brand's current snapshot."""
    found = await local.stores.brands.brand(brand)
    assert found.current_run is not None
    return list(await local.stores.snapshots.assets(found.current_run, after=None, limit=1000))
