"""``make screenshots``: every page of the dashboard, wide and phone, light and dark.

They come from a real server with the demo's brands and a larger one of drawn pictures, a run of
which is under way. Left in ``.screenshots``; ``--keep`` also renews those of the documents.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from demo.service import serve
from demo.world import load
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from tests.support.dashboard import ARGUMENTS, Dashboard, chromium, open_dashboard, until

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / ".screenshots"
KEPT = ROOT / "docs" / "images"
KEPT_WIDE = {"home": "light", "run": "light", "map": "dark", "look": "light", "gallery": "dark"}
KEPT_PHONE = (("home", "light"), ("run", "dark"), ("gallery", "light"), ("map", "dark"))
GAP = 24
"""Pixels between phones."""
KEPT_MAX_BYTES = 250_000
WEBP_QUALITY = 82
BRANDS = 12
"""Of the demo's, the largest first."""
PLAY_S = 900.0
PICTURES = 420
RUNNING_AFTER = 230
"""Pictures that the run under way has got when it is held for its portrait."""
SIZES: dict[str, ViewportSize] = {
    "wide": {"width": 1440, "height": 900},
    "phone": {"width": 390, "height": 844},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAGE_MS = 120_000
PICTURES_THERE = """
() => [...document.querySelectorAll('.thumb')].every((thumb) => {
  const box = thumb.getBoundingClientRect();
  const away = box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth;
  return away || !thumb.querySelector('.hidden-text');
})
"""
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def _nothing(_: Page) -> None:
    pass


@dataclass(frozen=True)
class Shot:
    """A page: its address, what is there when it is, and what is then done on it."""

    path: str
    there: str
    do: Callable[[Page], None] = _nothing


Shots = Mapping[str, Shot]


@contextmanager
def played(data: Path) -> Iterator[tuple[Dashboard, Shots]]:
    """Bring brands through their phases, one twice, and hold one in the middle."""
    world = load()
    with open_dashboard(data) as dashboard, dashboard.loop.holding(serve(world)) as service:
        big = dashboard.start("bauhaus", dashboard.origin.source(PICTURES, missing=19))
        runs = [
            dashboard.start(name, f"catalog:{service.url}") for name in list(world.brands)[:BRANDS]
        ]
        for run in (big, *runs):
            dashboard.wait(run, patience_s=PLAY_S)
        dashboard.submit("/webhooks", url=f"{dashboard.origin.url}/told", events=["run.committed"])
        big = dashboard.start(
            "bauhaus", dashboard.origin.source(PICTURES + 12, missing=19, start=8)
        )
        dashboard.wait(big, patience_s=PLAY_S)
        for format_ in ("parquet", "csv"):
            dashboard.submit("/brands/bauhaus/exports", format=format_)
        until(
            lambda: dashboard.get("/tasks", limit=2)["items"],
            lambda tasks: all(task["ended_at"] for task in tasks),
        )
        dashboard.stray({"brand": "de/stijl"})
        until(lambda: dashboard.get("/queues"), lambda told: told["dead_letters"] == 1)
        dashboard.loop.soon(lambda: dashboard.origin.hold(after=RUNNING_AFTER))
        source = dashboard.origin.source(PICTURES - 30, missing=7, start=PICTURES)
        running = dashboard.start("de stijl", source)
        until(
            lambda: dashboard.get(f"/runs/{running}"),
            lambda state: state["settled"] > RUNNING_AFTER * 0.9,
        )
        yield dashboard, pages(dashboard, big, running)


def pages(dashboard: Dashboard, big: str, running: str) -> Shots:
    """Return every page."""
    one = dashboard.get("/brands/bauhaus/assets", limit=30)["items"][20]["id"]
    logo = next(iter(load().brands))
    # The other pictures' origin is held.
    marks = dashboard.get(f"/brands/{logo}/assets", limit=10)["items"]
    rows = [f"{mark['url']}\tMark {number}" for number, mark in enumerate(marks)]
    pasted = "\n".join(["Photo\tTitle", *rows, rows[0], "none\tNo picture"])
    at = "/brands/bauhaus"
    return {
        "home": Shot("/", "[data-brand=bauhaus]"),
        "start": Shot("/", "[data-link=live]", _press("n")),
        "start-checked": Shot("/", "[data-link=live]", lambda page: _check(page, pasted)),
        "start-named": Shot("/", "[data-link=live]", lambda page: _name(page, pasted)),
        "keys": Shot("/", "[data-link=live]", _press("?")),
        "palette": Shot(at, "[data-place='5'] img", _press("Control+k")),
        "run": Shot(f"/runs/{running}", "[data-seq]"),
        "items": Shot(f"/runs/{running}", "[data-seq]", _see_items),
        "failures": Shot(f"/runs/{big}", "[data-seq]", _see("[data-reason]")),
        "limits": Shot("/system/limits", "[data-phase=acquire]"),
        "run-over": Shot(f"/runs/{big}", "[data-seq]"),
        "gallery": Shot(at, "[data-place='5'] img"),
        "logos": Shot(f"/brands/{logo}", "[data-place='5'] img"),
        "asset": Shot(f"{at}?asset={one}", "[data-neighbours] img"),
        "map": Shot(f"{at}/map", "[role=application] img"),
        "duplicates": Shot(f"/brands/{logo}/duplicates", "main img, main h2"),
        "clusters": Shot(f"{at}/clusters", "main img, main h2"),
        "look": Shot(f"{at}/look", ".palette, main h2"),
        "compare": Shot(f"{at}/compare?with={logo}", "main .sides"),
        "snapshots": Shot(f"{at}/snapshots", "main ul img"),
        "history": Shot(f"{at}/history", "[data-history]"),
        "runs": Shot("/runs", "[data-run]"),
        "exports": Shot(f"{at}/exports", "[data-export]"),
        "search": Shot("/search?q=triangles", "[data-found] ~ div img"),
        "system": Shot("/system", "table"),
        "letters": Shot("/system/letters", "[data-letter]"),
        "settings": Shot("/system/settings", "table"),
        "webhooks": Shot("/system/webhooks", "[data-webhook]"),
        "audit": Shot("/system/audit", "table"),
        "api": Shot("/api/docs", ".opblock"),
    }


def take(browser: Browser, dashboard: Dashboard, shots: Shots) -> None:
    """Take every picture: each page is opened once, then turned to every size and scheme."""
    context = browser.new_context(
        base_url=dashboard.url, viewport=SIZES["wide"], locale="en-GB", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(PAGE_MS)
    for name, shot in shots.items():
        page.set_viewport_size(SIZES["wide"])
        page.goto(shot.path)
        page.locator(shot.there).first.wait_for()
        shot.do(page)
        for size, viewport in SIZES.items():
            page.set_viewport_size(viewport)
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                _settle(page)
                page.screenshot(path=OUT / f"{name}-{size}-{scheme}.png")
    context.close()


def _press(key: str) -> Callable[[Page], None]:
    """Return what presses a key that opens a dialog."""

    def do(page: Page) -> None:
        page.keyboard.press(key)
        page.get_by_role("dialog").wait_for()

    return do


def _see(place: str) -> Callable[[Page], None]:
    """Return what scrolls to a place."""
    return lambda page: page.locator(place).first.scroll_into_view_if_needed()


def _check(page: Page, text: str) -> None:
    """Bring a list, up to its check with the first pictures."""
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Or paste it").fill(text)
    dialog.get_by_role("button", name="Check it").click()
    dialog.locator("img[data-preview]").first.wait_for()


def _name(page: Page, text: str) -> None:
    """Bring a list, up to its name."""
    _check(page, text)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Brand", exact=True).fill("acme")


def _see_items(page: Page) -> None:
    """Open the items of a run, and choose one."""
    page.get_by_role("button", name="See what waits, and why").click()
    page.get_by_role("region", name="Items").locator("tbody input").first.check()


def _settle(page: Page) -> None:
    """Wait until every picture that is in sight is there, and drawn."""
    page.wait_for_function(PICTURES_THERE)
    page.evaluate(TWO_FRAMES)


def keep() -> None:
    """Renew the documents' pictures, compressed."""
    for name, scheme in KEPT_WIDE.items():
        with Image.open(OUT / f"{name}-wide-{scheme}.png") as image:
            _save(image, name)
    phones = [Image.open(OUT / f"{name}-phone-{scheme}.png") for name, scheme in KEPT_PHONE]
    width, height = phones[0].size
    beside = Image.new("RGB", (len(phones) * (width + GAP) - GAP, height), "#8a918b")
    for number, phone in enumerate(phones):
        beside.paste(phone, (number * (width + GAP), 0))
        phone.close()
    _save(beside, "phone")


def _save(image: Image.Image, name: str) -> None:
    path = KEPT / f"dashboard-{name}.webp"
    image.convert("RGB").save(path, "WEBP", quality=WEBP_QUALITY, method=6)
    size = path.stat().st_size
    if size > KEPT_MAX_BYTES:
        sys.exit(f"error: {path.name} has {size} bytes, more than {KEPT_MAX_BYTES}.")


def main() -> None:
    """Play, take, and keep if told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="renew docs/images as well")
    arguments = parser.parse_args()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    with (
        tempfile.TemporaryDirectory() as folder,
        played(Path(folder) / "data") as (dashboard, shots),
    ):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
            take(browser, dashboard, shots)
            browser.close()
        dashboard.loop.soon(dashboard.origin.release)
    if arguments.keep:
        keep()
    print(f"{len(list(OUT.iterdir()))} pictures in {OUT.name}")  # noqa: T201


if __name__ == "__main__":
    main()
