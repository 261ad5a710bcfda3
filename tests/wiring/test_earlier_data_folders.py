"""Data folders that earlier commits have made, and left in the middle of a run, open and go on."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.earlier_code import REPOSITORY, Code, stopped_after, unpack
from tests.support.later_pictures import AT_ONCE, URLS, pictures
from tests.support.proof_size import by_size
from tests.support.waiting import until
from triptych.database import previous_release

pytestmark = [pytest.mark.integration, pytest.mark.prove]

PATIENCE_S = 120.0
COMMITS = {
    "schema-0008": "d91691a",
    "schema-0016": "7c990b1",
    "schema-0018": "0994174",
    "before": previous_release.COMMIT,
}


def code(name: str, source: Path, folder: Path, **more: str) -> Code:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TRIPTYCH_")}
    environment = {
        **inherited,
        "TRIPTYCH_DATA": str(folder / "data"),
        "TRIPTYCH_EMBEDDER": "none",
        "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
        "TRIPTYCH_SWEEP_S": "1",
        "TRIPTYCH_VISIBILITY_S": "4",
        "TRIPTYCH_RESEND_S": "2",
        "TRIPTYCH_MAX_RECEIVES": "1000",
        "TRIPTYCH_WORKERS": "1",
        **more,
    }
    return Code(name, source, folder / f"{name}.log", environment)


def manifest(folder: Path, urls: list[str]) -> str:
    (folder / "nike.csv").write_text("\n".join(["url", *urls]))
    return f"manifest:{folder / 'nike.csv'}"


async def get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        assert response.status == 200, (url, await response.text())
        return await response.json()


async def check_contents(session: aiohttp.ClientSession, api: str, count: int) -> None:
    """Read the pictures of all assets, of which there are so many."""
    assets = (await get(session, f"{api}brands/nike/assets"))["items"]
    assert len(assets) == count
    for asset in assets:
        async with session.get(f"{api}assets/{asset['id']}/content") as response:
            assert response.status == 200, await response.text()
            assert hashlib.sha256(await response.read()).hexdigest() == asset["sha256"]
        async with session.get(f"{api}assets/{asset['id']}/thumbnail") as response:
            assert response.status == 200, await response.text()


async def ended(session: aiohttp.ClientSession, api: str) -> dict[str, Any]:
    """Wait for the brand's newest run, which is to be committed with all of its URLs."""
    run: dict[str, Any] = (await get(session, f"{api}brands/nike"))["latest"]
    run = await until(
        lambda: get(session, f"{api}runs/{run['id']}"),
        lambda run: run["over"],
        patience_s=PATIENCE_S,
    )
    assert (run["state"], run["done"], run["ai_state"]) == ("committed", URLS, "done")
    return run


async def again(session: aiohttp.ClientSession, api: str, source: str) -> None:
    """Run the brand once more: nothing has changed."""
    before = (await get(session, f"{api}brands/nike"))["current_run"]
    async with session.post(f"{api}brands/nike/runs", json={"source": source}) as response:
        assert response.status == 202, await response.text()
    await until(
        lambda: get(session, f"{api}brands/nike"), lambda brand: brand["latest"]["id"] != before
    )
    run = await ended(session, api)
    assert (run["added"], run["kept"], run["removed"]) == (0, URLS, 0)


@pytest.mark.parametrize("made_by", by_size(("schema-0008", "before"), tuple(COMMITS)))
async def test_a_folder_of_an_earlier_commit_opens_and_its_run_goes_on(
    made_by: str, tmp_path: Path
) -> None:
    earlier = code("earlier", unpack(COMMITS[made_by], tmp_path / "earlier"), tmp_path)
    this = code(
        "this", REPOSITORY / "src", tmp_path, TRIPTYCH_SOURCE_FOLDERS="/", TRIPTYCH_API_PORT="0"
    )
    async with pictures() as site, stopped_after(earlier, this), aiohttp.ClientSession() as session:
        source = manifest(tmp_path, site.urls()[:AT_ONCE])
        await earlier.command("run", "nike", "--source", source)
        manifest(tmp_path, site.urls())
        killed = await earlier.start("run", "nike", "--source", source)
        await asyncio.wait_for(site.asked.wait(), PATIENCE_S)
        await earlier.kill(killed)

        server, api = await this.serve("up")
        brand = await get(session, f"{api}brands/nike")
        assert (brand["assets"], brand["latest"]["state"]) == (AT_ONCE, "active")
        await check_contents(session, api, AT_ONCE)
        site.released.set()
        run = await ended(session, api)
        assert (run["added"], run["removed"]) == (URLS - AT_ONCE, 0)
        await again(session, api, source)
        await check_contents(session, api, URLS)
        # All rows have whole objects, at the keys of their time.
        await this.command("verify")
        await this.stop()
        assert server.returncode == 0
        assert "missing" not in this.logged()

        if COMMITS[made_by] == previous_release.COMMIT:
            # The rollback by one release.
            earlier.environment = {**earlier.environment, **this.environment}
            _, api = await earlier.serve("up")
            await again(session, api, source)
            await check_contents(session, api, URLS)
