"""axe (WCAG 2.2 A and AA) on every page, light and dark, wide and phone."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.support.axe import AXE, GO, check
from tests.support.browser_page import watched_page
from tests.support.dashboard import Dashboard


def test_axe_finds_nothing_grave_on_any_page(
    browser: Browser, dashboard: Dashboard, wall: str
) -> None:
    run = dashboard.get("/runs", brand=wall, limit=1)["items"][0]["id"]
    one = dashboard.get(f"/brands/{wall}/assets", limit=1)["items"][0]["id"]
    dashboard.submit("/webhooks", url=f"{dashboard.origin.url}/told", events=["run.committed"])
    pages = {
        "/": "[data-brand=wall]",
        f"/runs/{run}": "[data-reason]",
        f"/brands/{wall}": "[data-place='0'] img",
        f"/brands/{wall}?asset={one}": "[data-neighbours]",
        f"/brands/{wall}/map": "[role=application] img",
        f"/brands/{wall}/clusters": ".pics img, main h2:text('clusters')",
        f"/brands/{wall}/duplicates": "main h3, main h2:text('duplicates')",
        f"/brands/{wall}/look": ".palette",
        f"/brands/{wall}/compare": "input[name=with]",
        f"/brands/{wall}/compare?with={wall}": ".sides",
        f"/brands/{wall}/snapshots": "main ol",
        f"/brands/{wall}/exports": "main h2:text('Exports')",
        "/search": "main h2:text('Find')",
        "/search?q=circles": "[data-found] ~ div img",
        "/system": "table",
        "/system/limits": "[data-phase]",
        "/system/letters": "main h2:text('letters'), [data-letter]",
        "/system/settings": "input[data-slash]",
        "/system/webhooks": "[data-webhook]",
        "/system/audit": "[aria-label='Actions of operators']",
        "/api/docs": ".opblock",
        "/nowhere/at/all": "main h2:text('no such page')",
    }
    context = browser.new_context(base_url=dashboard.url, reduced_motion="reduce")
    page, log = watched_page(context)
    page.add_init_script(path=AXE)
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    wrong: list[str] = []
    for path, there in pages.items():
        page.evaluate(GO, path)
        expect(page.locator(there).first).to_be_visible()
        wrong += check(page, path)
    page.evaluate(GO, "/")
    expect(page.locator("[data-brand=wall]")).to_be_visible()
    dialogs = {"n": "Start a brand", "?": "Keyboard shortcuts", "Control+k": "Go to or do"}
    for key, title in dialogs.items():
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        wrong += check(page, title)
        page.keyboard.press("Escape")
    context.close()
    assert wrong == []
    assert log.unexpected() == []
