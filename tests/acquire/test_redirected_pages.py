"""What a redirect leads to is named where it is not a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from tests.support.local_pipeline import acquiring_at, ended

pytestmark = pytest.mark.integration


async def test_a_page_that_asks_to_sign_in_is_named(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/shoe.jpg":
            return web.Response(status=302, headers={"Location": "/account/login?back=%2Fshoe.jpg"})
        return web.Response(text="<!doctype html><title>Sign in</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    path = tmp_path / "urls.csv"
    path.write_text(f"url\n{base}/shoe.jpg\n{base}/page.jpg?a=%2C\n")
    try:
        async with acquiring_at(tmp_path, tolerated_failures=1.0) as local:
            run = await ended(local, (await local.submit("nike", source=f"manifest:{path}")).id)
            found = await local.services.stores.runs.failed_items(
                run.id, "not_an_image", after=-1, limit=9
            )
    finally:
        await runner.cleanup()
    direct, led = sorted(found.rows, key=lambda item: item.url)
    assert direct.url.endswith("/page.jpg?a=%2C")
    assert "redirects" not in direct.detail
    assert led.detail.endswith(f"; redirects lead to {base}/account/login?…")
