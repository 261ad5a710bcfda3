"""axe (WCAG 2.2 A and AA) on every page, light and dark, wide and phone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import watched
from tests.browser.stage import ROOT, Stage

AXE = ROOT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
GRAVE = {"serious", "critical"}
WIDE, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


def check(page: Page, name: str) -> list[str]:
    """Return what is gravely wrong with the page as it is."""
    result: Any = page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}})", RULES
    )
    return [
        f"{name}: {found['id']}, {node['target']}: {node['failureSummary']}"
        for found in result["violations"]
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("wide", "light"),
        ("phone", "dark"),
        pytest.param("wide", "dark", marks=pytest.mark.prove),
        pytest.param("phone", "light", marks=pytest.mark.prove),
    ],
)
def test_axe_finds_nothing_grave_on_any_page(
    browser: Browser, stage: Stage, wall: str, scheme: Any, size: str
) -> None:
    run = stage.get("/runs", brand=wall, limit=1)["items"][0]["id"]
    one = stage.get(f"/brands/{wall}/assets", limit=1)["items"][0]["id"]
    pages = {
        "/": "[data-brand=wall]",
        f"/runs/{run}": "[data-reason]",
        f"/brands/{wall}": "[data-place='0'] img",
        f"/brands/{wall}?asset={one}": "[data-neighbours]",
        f"/brands/{wall}/map": "[role=application] img",
        f"/brands/{wall}/clusters": "main ul",
        f"/brands/{wall}/duplicates": "main h3, main h2",
        f"/brands/{wall}/look": ".palette",
        f"/brands/{wall}/compare": "form",
        f"/brands/{wall}/snapshots": "main ol",
        f"/brands/{wall}/exports": "main h2",
        "/search": "form",
        "/system": "table",
        "/system/letters": "main h2",
        "/system/settings": "table",
        "/system/audit": "table",
        "/nowhere/at/all": "main h2",
    }
    context = browser.new_context(
        base_url=stage.url,
        viewport=WIDE if size == "wide" else PHONE,
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page, log = watched(context)
    log.expected.append("the server responded with a status of 404")
    wrong: list[str] = []
    for path, there in pages.items():
        page.goto(path)
        expect(page.locator(there).first).to_be_visible()
        page.evaluate(AXE.read_text(encoding="utf-8"))
        wrong += check(page, path)
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for key, title in (("n", "Start a brand"), ("?", "Keys")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        wrong += check(page, title)
        page.keyboard.press("Escape")
    context.close()
    assert wrong == []
    assert log.unexpected() == []
