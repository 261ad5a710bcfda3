"""One brand through all phases, asked of an API over HTTP."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.support.waiting import until


async def take_brand_through(
    session: aiohttp.ClientSession, url: str, source: str, *, patience_s: float
) -> dict[str, Any]:
    """Create the brand nike with a source at the API at ``url``, start a run, and wait for its end.

    Returns:
        the run, whose third phase has ended, too, if it was committed.
    """
    brand = f"{url}/api/v1/brands/nike"
    async with session.put(brand, json={"source": source}) as put:
        assert put.status == 202, await put.text()
    async with session.post(f"{brand}/runs") as started:
        assert started.status == 202, await started.text()

    async def run_now() -> dict[str, Any]:
        async with session.get(f"{url}/api/v1/runs", params={"brand": "nike"}) as listed:
            run: dict[str, Any] = (await listed.json())["items"][0]
            return run

    return await until(
        run_now,
        lambda found: found["state"] == "failed" or found["ai_state"] in {"done", "failed"},
        patience_s=patience_s,
    )
