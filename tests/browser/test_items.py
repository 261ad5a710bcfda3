"""Why an item waits, and what a person does about it from the run's page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import AXE, check
from tests.support.browser_page import PageLog, watched_page
from tests.support.dashboard import Dashboard, until
from tests.support.picture_origin import Origin, serve_origin

GOOD, BROKEN = 4, 3


@pytest.fixture
def ailing(dashboard: Dashboard) -> Iterator[Origin]:
    """An origin of its own: what it says of a host is not said of the other tests'."""
    with dashboard.loop.holding(serve_origin()) as origin:
        yield origin


def waiting_run(dashboard: Dashboard, origin: Origin, brand: str) -> str:
    """Start a brand; return its run when all that is left of it waits for another attempt."""
    urls = [f"{origin.url}/picture/{n}.png" for n in range(GOOD)]
    urls += [f"{origin.url}/broken/{n}.png" for n in range(BROKEN)]
    run = str(dashboard.submit(f"/brands/{brand}/runs", urls=urls)["run"])
    until(
        lambda: dashboard.get(f"/runs/{run}/items/counts"),
        lambda counts: counts["delayed"] == BROKEN and counts["done"] == GOOD,
    )
    return run


def test_one_finds_why_an_item_waits_tries_it_now_and_skips_another(
    dashboard: Dashboard, page: Page, log: PageLog, ailing: Origin
) -> None:
    run = waiting_run(dashboard, ailing, "ailing")
    page.goto(f"/runs/{run}")
    expect(page.locator("[data-standing]")).to_have_text("Acquiring")
    page.get_by_role("button", name="See what waits, and why").click()
    table = page.get_by_role("region", name="Items")
    expect(table.locator("tbody tr")).to_have_count(BROKEN)
    row = table.locator("tbody tr").filter(has_text="/broken/1.png")
    expect(row).to_contain_text("tried again later")
    expect(row).to_contain_text("1 of 5")
    expect(row).to_contain_text("server error")
    expect(row).to_contain_text("HTTP 500")
    expect(row.locator("td").last).to_have_text(re.compile(r"in (9|10):\d\d"))
    standing = page.locator("[data-standing-of=delayed]")
    expect(standing).to_have_text(f"tried again later {BROKEN}")
    expect(standing).to_have_attribute("aria-pressed", "true")

    # Without anything new of the run, nothing is asked for.
    settled = len(log.requests)
    page.get_by_label("Find by URL").fill("broken/2")
    page.get_by_label("Find by URL").press("Enter")
    expect(table.locator("tbody tr")).to_have_count(1)
    page.get_by_role("checkbox", name=re.compile("Choose http")).check()
    page.get_by_role("button", name="Skip 1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It counts as failed, but does not decide")
    dialog.get_by_role("button", name="Skip it").click()
    expect(page.locator("[data-none]")).to_be_visible()
    expect(page.locator("[data-reason=skipped]")).to_contain_text("1")
    assert any("/items" in asked for asked in log.requests[settled:])

    dashboard.loop.soon(ailing.mend)
    page.get_by_label("Find by URL").fill("")
    page.get_by_label("Find by URL").press("Enter")
    expect(table.locator("tbody tr")).to_have_count(BROKEN - 1)
    page.get_by_role("checkbox", name="Choose all").check()
    page.get_by_role("button", name=f"Try {BROKEN - 1} now").click()
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    state = dashboard.wait(run)
    assert (state["done"], state["failed"], state["reasons"]) == (
        GOOD + BROKEN - 1,
        1,
        {"skipped": 1},
    )
    page.locator("[data-standing-of=skipped]").click()
    expect(table.locator("tbody tr")).to_have_count(1)
    page.get_by_role("checkbox", name=re.compile("Choose http")).check()
    page.get_by_role("button", name="Retry 1 in a new run").click()
    page.wait_for_url(lambda url: "/runs/" in url and run not in url)
    again = dashboard.wait(page.url.rpartition("/")[2].partition("?")[0])
    assert (again["state"], again["done"], again["added"]) == ("committed", 1, 1)


def test_the_table_follows_the_run_by_keyboard_alone(
    dashboard: Dashboard, page: Page, ailing: Origin
) -> None:
    run = waiting_run(dashboard, ailing, "keyed")
    page.goto(f"/runs/{run}?items=delayed")
    rows = page.get_by_role("region", name="Items").locator("tbody tr")
    expect(rows).to_have_count(BROKEN)
    key = dashboard.get(f"/runs/{run}/items", state="delayed")["items"][0]["key"]
    dashboard.submit(f"/runs/{run}/items/skip", keys=[key])
    expect(rows).to_have_count(BROKEN - 1)
    page.get_by_role("checkbox", name="Choose all").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Skip 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(rows).to_have_count(BROKEN - 1)
    dashboard.submit(f"/runs/{run}/cancel")
    expect(page.locator("[data-none]")).to_be_visible()


def test_axe_finds_nothing_grave_and_nothing_scrolls_sideways(
    browser: Browser, dashboard: Dashboard, ailing: Origin
) -> None:
    run = waiting_run(dashboard, ailing, "audited")
    context = browser.new_context(base_url=dashboard.url, reduced_motion="reduce")
    page, log = watched_page(context)
    page.add_init_script(path=AXE)
    page.goto(f"/runs/{run}?items=all")
    expect(page.locator("[data-item=delayed]")).to_have_count(BROKEN)
    page.get_by_role("checkbox", name=re.compile("Choose http")).first.check()
    assert check(page, "items") == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
    assert log.unexpected() == []
    dashboard.submit(f"/runs/{run}/cancel")
