"""An asset's bytes opened in a browser: what is shown, and what is saved."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.support.api_server import Api, commit, put_objects, serving
from tests.support.dashboard import Loop
from triptych.gather.urls import item_key
from triptych.snapshots.asset_ids import asset_id

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='4' height='3'/>"
ICON_SIDE = 32
SHOWN = "https://x.example/favicon.ico"
SAVED = "https://x.example/logo.svgz"


def _icon() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (ICON_SIDE, ICON_SIDE), "red").save(file, "ICO")
    return file.getvalue()


async def _fill(api: Api) -> None:
    contents = {
        SHOWN: (_icon(), "image/vnd.microsoft.icon"),
        SAVED: (gzip.compress(SVG, mtime=0), "image/svg+xml"),
    }
    await put_objects(api.services.settings, contents)
    await commit(api.stores, "nike", contents)


@pytest.fixture
def content(
    browser: Browser, loop: Loop, migrated_dsn: str, tmp_path: Path
) -> Iterator[tuple[Page, str]]:
    """A page, and the URL of the server's assets."""
    with loop.holding(serving(migrated_dsn, tmp_path)) as api:
        loop.call(_fill(api))
        context = browser.new_context()
        yield context.new_page(), f"{api.url}/api/v1/assets"
        context.close()


def test_an_icon_is_shown_and_a_compressed_svg_is_saved_as_what_it_is(
    content: tuple[Page, str],
) -> None:
    page, assets = content
    page.goto(f"{assets}/{asset_id('nike', item_key(SHOWN))}/content")
    assert page.locator("img").evaluate("image => image.naturalWidth") == ICON_SIDE

    url = f"{assets}/{asset_id('nike', item_key(SAVED))}/content"
    page.goto("about:blank")
    with page.expect_download() as saved:
        page.evaluate("url => { location.href = url }", url)
    assert Path(saved.value.path()).read_bytes() == SVG
