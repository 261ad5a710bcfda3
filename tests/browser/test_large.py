"""A brand of twenty thousand: the gallery goes to its end, the map draws and chooses all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.support.api_server import POLICY, Api, put_objects, serving
from tests.support.browser_page import watched_page
from tests.support.dashboard import Loop
from tests.support.picture_origin import picture
from triptych.ai.ai_store import Marks
from triptych.gather.urls import item_key
from triptych.model import KEY_BYTES, Insight, ItemResult, NewItem, RunKind, Staged
from triptych.objects import object_key

COUNT = 20_000
DIFFERENT = 40
PAGE = 1_000


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.stop()


async def _fill(api: Api) -> None:
    """Commit a brand of many URLs and few different pictures, on a spiral of a map."""
    bodies = [picture(number) for number in range(DIFFERENT)]
    contents = {str(number): (body, "image/png") for number, body in enumerate(bodies)}
    await put_objects(api.services.settings, contents)
    stores, run_id = api.stores, uuid4()
    await stores.runs.open_run(
        "large",
        run_id=run_id,
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    keys = []
    for start in range(0, COUNT, PAGE):
        urls = [f"https://x.example/{number}.png" for number in range(start, start + PAGE)]
        rows = [NewItem(item_key(url), url, {}) for url in urls]
        keys += [row.key for row in rows]
        await stores.runs.expect(run_id, rows, cursor=None, limit=10**6)
        results = [
            ItemResult(row.key, _staged(bodies[number % DIFFERENT]))
            for number, row in enumerate(rows)
        ]
        await stores.runs.settle(run_id, results, limit=10**6)
    await stores.runs.seal(run_id)
    await stores.runs.commit(run_id)
    await stores.ai.begin_ai("large", run_id)
    angles = np.arange(COUNT) / 400
    places = np.arange(COUNT) / COUNT
    values = {"x": (np.cos(angles) * places).round(4), "y": (np.sin(angles) * places).round(4)}
    rows16 = np.frombuffer(b"".join(keys), np.uint8).reshape(COUNT, KEY_BYTES)
    marks = Marks(rows16, {name: column.tolist() for name, column in values.items()})
    found = [Insight("map", {"placed": COUNT}, seconds=1.0)]
    assert await stores.ai.finish_ai(run_id, found, marks=marks)


def _staged(body: bytes) -> Staged:
    sha256 = hashlib.sha256(body).digest()
    return Staged(
        sha256=sha256,
        object_key=object_key(sha256),
        media_type="image/png",
        size_bytes=len(body),
        width=160,
        height=160,
        phash=1,
        embedding=None,
        model=None,
        colours=(),
    )


def test_twenty_thousand_scroll_smoothly_and_lie_on_the_map(
    browser: Browser, loop: Loop, migrated_dsn: str, tmp_path: Path
) -> None:
    with loop.holding(serving(migrated_dsn, tmp_path)) as api:
        loop.call(_fill(api))
        context = browser.new_context(base_url=api.url, viewport={"width": 1280, "height": 860})
        page, log = watched_page(context)
        page.goto("/brands/large")
        gallery = page.get_by_role("list", name="Assets of large")
        expect(gallery).to_have_attribute("data-total", str(COUNT))
        expect(page.locator("[data-place='0'] img")).to_be_visible()
        frames = page.evaluate(SCROLL)
        steady = sorted(frames)[int(len(frames) * 0.95)]
        print(f"{len(frames)} frames, 95 % within {steady:.0f} ms, longest {max(frames):.0f} ms")
        page.evaluate("() => scrollTo(0, document.body.scrollHeight)")
        expect(gallery).to_have_attribute("data-loaded", str(COUNT))
        expect(page.locator(f"[data-place='{COUNT - 1}'] img")).to_be_visible()
        assert gallery.locator("li").count() < 150, "only what is in sight is there"
        page.goto("/brands/large/map")
        board = page.get_by_role("application")
        expect(board.locator("img").first).to_be_visible()
        box = board.bounding_box()
        assert box is not None
        page.get_by_role("button", name="Draw around").click()
        corners = [(0.01, 0.01), (0.94, 0.01), (0.94, 0.99), (0.01, 0.99)]
        for number, (x, y) in enumerate(corners):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
            if number == 0:
                page.mouse.down()
        page.mouse.up()
        expect(page.locator("[data-chosen]")).to_have_attribute("data-chosen", str(COUNT))
        context.close()
        assert log.unexpected() == []


SCROLL = """
() => new Promise((resolve) => {
  const frames = [];
  let before = performance.now();
  function step(now) {
    frames.push(now - before);
    before = now;
    scrollBy(0, 120);
    if (frames.length < 240) requestAnimationFrame(step);
    else resolve(frames.slice(1));
  }
  requestAnimationFrame(step);
})
"""
