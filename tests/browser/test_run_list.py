"""Runs of all brands: found, selected and steered together; a brand's history and its schedule."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.axe import AXE, check
from tests.support.browser_page import PageLog, watched_page
from tests.support.dashboard import Dashboard

pytestmark = pytest.mark.integration

ZONE = "Europe/Berlin"


def rows(page: Page) -> list[str]:
    """Return the brands of the runs that are shown."""
    return page.locator("tbody tr th a").all_inner_texts()


@pytest.fixture
def active(dashboard: Dashboard) -> Iterator[dict[str, str]]:
    """Three brands with an active run each, held at their first picture."""
    dashboard.loop.soon(lambda: dashboard.origin.hold(after=0))
    runs = {
        brand: dashboard.start(brand, dashboard.origin.source(6, start=at))
        for at, brand in ((50_000, "list-a"), (51_000, "list-b"), (52_000, "list-c"))
    }
    yield runs
    dashboard.loop.soon(dashboard.origin.release)
    for run in runs.values():
        dashboard.wait(run)


def test_two_of_three_runs_are_cancelled_together(
    dashboard: Dashboard, page: Page, log: PageLog, active: dict[str, str]
) -> None:
    page.goto("/runs")
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.get_by_role("button", name="Running").click()
    expect(page).to_have_url(re.compile("state=active"))
    expect(page.locator("tbody tr")).to_have_count(3)
    assert rows(page) == ["list-c", "list-b", "list-a"]
    # By keyboard: the box of the newest, then with Shift all to the next.
    first = page.get_by_label(re.compile("Select the run of list-c"))
    first.focus()
    page.keyboard.press("Space")
    page.get_by_label(re.compile("Select the run of list-b")).click(modifiers=["Shift"])
    expect(page.locator("[data-selected='2']")).to_contain_text("2 runs selected")
    page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel 2 runs?")
    expect(dialog).to_contain_text("will be discarded. The brands keep the pictures")
    # Meanwhile one of them ends: its refusal has its name and reason.
    assert dashboard.http.post(f"/runs/{active['list-b']}/cancel").status_code == 202
    dialog.get_by_role("button", name="Cancel 2 runs").click()
    expect(page.locator("[data-bulk=cancel]")).to_contain_text("2 runs are cancelled.")
    for brand, standing in (("list-c", "Cancelled"), ("list-b", "Cancelled")):
        row = page.locator(f"[data-run='{active[brand]}']")
        expect(row.locator("[data-state]")).to_have_text(standing)
        assert dashboard.get(f"/runs/{active[brand]}")["state"] == "cancelled"
    assert dashboard.get(f"/runs/{active['list-a']}")["state"] == "active"
    expect(page.get_by_text("2 runs have changed, and no longer match.")).to_be_visible()
    asked = len(log.requests)
    page.get_by_role("button", name="Read the list again").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert len(log.requests) == asked + 1
    # A run that somebody else starts comes by itself, and says what becomes of it.
    other = dashboard.start("list-d", dashboard.origin.source(2, start=53_000))
    expect(page.locator(f"[data-run='{other}']")).to_be_visible()
    active["list-d"] = other


def test_a_refusal_is_named_and_the_others_are_done(
    dashboard: Dashboard, page: Page, active: dict[str, str]
) -> None:
    page.goto("/runs?state=active")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Select all 3").click()
    page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is lost.")
    gone = active["list-b"]
    # The page has not heard of it: the request still names this run.

    def cancel_first(route: Route) -> None:
        dashboard.http.post(f"/runs/{gone}/cancel").raise_for_status()
        route.continue_()

    page.route("**/runs/bulk", cancel_first)
    dialog.get_by_role("button", name="Pause 3 runs").click()
    done = page.locator("[data-bulk=pause]")
    expect(done).to_contain_text("2 runs are paused. 1 run could not be:")
    expect(done.locator("li")).to_contain_text("list-b")
    expect(done.locator("[data-refused]")).to_have_attribute("data-refused", "run-ended")
    expect(page.locator(f"[data-run='{active['list-a']}'] [data-state]")).to_have_text("Paused")
    page.unroute("**/runs/bulk")
    page.get_by_role("button", name="Select none").click()
    page.get_by_label("Select all that are shown").check()
    page.get_by_role("button", name=re.compile("Resume")).click()
    expect(dialog).to_contain_text("One selected run is left as it is")
    dialog.get_by_role("button", name="Resume 2 runs").click()
    expect(page.locator(f"[data-run='{active['list-a']}'] [data-state]")).not_to_have_text("Paused")


def test_filters_are_in_the_address(dashboard: Dashboard, page: Page, wall: str) -> None:
    page.goto(f"/runs?brand={wall}")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert rows(page) == [wall]
    page.get_by_label("What it does").select_option("Embeds it again")
    expect(page.get_by_role("heading", name="No run matches")).to_be_visible()
    page.get_by_role("button", name="Show all runs").click()
    expect(page).to_have_url(re.compile("/runs$"))
    page.get_by_label("Started until").fill("2001-01-01")
    expect(page).to_have_url(re.compile("until=2001-01-01"))
    expect(page.get_by_role("heading", name="No run matches")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Needs attention").click()
    expect(page).to_have_url(re.compile("waiting=yes"))


def test_a_schedule_is_set_in_words_with_times_of_the_readers_zone(
    browser: Browser, dashboard: Dashboard
) -> None:
    dashboard.brand("planned", 3, start=54_000)
    context = browser.new_context(base_url=dashboard.url, locale="en-GB", timezone_id=ZONE)
    page, log = watched_page(context)
    page.goto("/brands/planned/history")
    expect(page.locator("[data-happened=committed]")).to_have_count(1)
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Source and schedule").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Runs begin").select_option("Every week")
    dialog.get_by_label("Time in UTC").fill("23:30")
    expect(dialog.locator("[data-words]")).to_have_text("At 23:30 on Monday (UTC)")
    times = dialog.locator("ol time")
    expect(times).to_have_count(3)
    expect(dialog).to_contain_text(f"as clocks show it in {ZONE}")
    # It is Tuesday there by then; in winter at 00:30, in summer at 01:30.
    for said in times.all_inner_texts():
        assert re.match(r"Tue.*(00:30 CET|01:30 CEST|00:30 GMT\+1|01:30 GMT\+2)$", said), said
    dialog.get_by_role("button", name="Monday").click()
    expect(dialog.get_by_text("Choose at least one day")).to_be_visible()
    expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    dialog.get_by_label("Runs begin").select_option("By a cron expression")
    dialog.get_by_label("Cron expression").fill("0 99 * * *")
    expect(dialog.get_by_text("Not a cron expression")).to_be_visible()
    dialog.get_by_label("Cron expression").fill("0 3 1 * *")
    expect(dialog.locator("[data-words]")).to_have_text(
        "At 03:00 on the first day of every month (UTC)"
    )
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("At 03:00 on the first day of every month (UTC), next")).to_be_visible()
    assert dashboard.get("/brands/planned")["schedule"] == "0 3 1 * *"
    page.reload()
    entry = page.locator("[data-happened=action]").first
    expect(entry).to_contain_text("set the source and the schedule")
    expect(entry).to_contain_text("At 03:00 on the first day of every month (UTC)")
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Source and schedule").click()
    expect(dialog.get_by_label("Runs begin")).to_have_value("monthly")
    context.close()
    log.expected.append("422")
    assert log.unexpected() == []


def test_axe_finds_nothing_grave(browser: Browser, dashboard: Dashboard, wall: str) -> None:
    context = browser.new_context(base_url=dashboard.url, reduced_motion="reduce")
    page, log = watched_page(context)
    page.add_init_script(path=AXE)
    page.goto("/runs")
    expect(page.locator("tbody tr").first).to_be_visible()
    wrong = check(page, "/runs")
    page.get_by_label("Select all that are shown").check()
    wrong += check(page, "selected")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.goto(f"/brands/{wall}/history")
    expect(page.locator("[data-history]")).to_be_visible()
    wrong += check(page, "history")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Source and schedule").click()
    page.get_by_label("Runs begin").select_option("Every week")
    expect(page.locator("[data-words]")).to_be_visible()
    wrong += check(page, "schedule")
    context.close()
    assert wrong == []
    assert log.unexpected() == []
