"""The command palette, by keyboard and by pointer; and the titles of browser tabs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser_page import watched_page
from tests.support.dashboard import Dashboard

pytestmark = pytest.mark.integration


def opened_palette(page: Page) -> Locator:
    page.keyboard.press("Control+k")
    palette = page.get_by_role("dialog", name="Go to or do")
    expect(palette.get_by_role("combobox")).to_be_focused()
    return palette


def test_brands_pages_actions_and_words_are_reached_by_keyboard(page: Page, wall: str) -> None:
    # Not by the page that lists all brands: the palette asks for them itself.
    page.goto("/system")
    expect(page).to_have_title("Health · System · Triptych")
    palette = opened_palette(page)
    page.keyboard.type("WAL")
    expect(palette.get_by_role("option", name="wall", exact=True)).to_have_attribute(
        "aria-selected", "true"
    )
    page.keyboard.press("Enter")
    expect(palette).to_be_hidden()
    expect(page).to_have_url(f"/brands/{wall}")
    expect(page).to_have_title("wall · Triptych")

    # The brand that is open has its own pages; arrows go around.
    palette = opened_palette(page)
    page.keyboard.type("wall: ma")
    expect(palette.get_by_role("option", selected=True)).to_have_text("wall: Map")
    page.keyboard.press("ArrowUp")
    expect(palette.get_by_role("option", selected=True)).to_contain_text("Search all pictures")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_title("wall · Map · Triptych")

    palette = opened_palette(page)
    page.keyboard.type("round circles")
    expect(palette.get_by_role("option")).to_have_text(["Search all pictures for “round circles”"])
    page.keyboard.press("Enter")
    expect(page).to_have_url("/search?q=round+circles")

    palette = opened_palette(page)
    page.keyboard.type("start a")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Start a brand")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(palette).to_be_hidden()


def test_it_is_a_button_too_and_its_entries_can_be_pressed(
    browser: Browser, dashboard: Dashboard, wall: str
) -> None:
    context = browser.new_context(
        base_url=dashboard.url, viewport={"width": 390, "height": 844}, has_touch=True
    )
    page, log = watched_page(context)
    page.goto("/")
    page.get_by_role("button", name="Go to a brand, a page or an action").tap()
    palette = page.get_by_role("dialog", name="Go to or do")
    palette.get_by_role("combobox").fill("letters")
    palette.get_by_role("option", name="System: Dead letters").tap()
    expect(page).to_have_url("/system/letters")
    expect(page).to_have_title("Dead letters · System · Triptych")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
    assert log.unexpected() == []
    assert wall
