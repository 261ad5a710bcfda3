"""Phases and hosts are paused and slowed on the page, and everybody sees it at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import AXE, check
from tests.support.browser_page import PageLog, watched_page
from tests.support.dashboard import Dashboard, until

PICTURES = 5
HOST = "images.example.com"


@pytest.fixture(autouse=True)
def released(dashboard: Dashboard) -> Iterator[None]:
    """Nothing stays paused after a test: the others use the same server."""
    yield
    for phase in ("gather", "acquire", "ai"):
        dashboard.http.put(f"/phases/{phase}", json={"paused": False}).raise_for_status()
    for each in dashboard.get("/hosts")["items"]:
        if each["changed_at"]:
            dashboard.http.delete(f"/hosts/{each['host']}").raise_for_status()


def phase(dashboard: Dashboard, name: str) -> dict[str, object]:
    (found,) = (each for each in dashboard.get("/phases")["items"] if each["phase"] == name)
    return dict(found)


def test_one_phase_is_paused_while_another_works_and_then_goes_on(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    page.goto("/system/limits")
    acquire = page.locator("[data-phase=acquire]")
    acquire.get_by_role("button", name="Pause Acquire").click()
    expect(acquire.locator("[data-state=paused]")).to_contain_text("by a user of this computer")
    run = dashboard.start("braked", dashboard.origin.source(PICTURES, start=41_000))
    until(
        lambda: dashboard.get(f"/runs/{run}"),
        lambda state: state["sealed"] and state["expected"] == PICTURES,
    )
    page.goto(f"/runs/{run}")
    banner = page.locator("[data-paused=acquire]")
    expect(banner).to_contain_text("Acquire is paused by a user of this computer since")
    expect(banner).to_contain_text("deadline stays")
    assert dashboard.get(f"/runs/{run}")["settled"] == 0
    page.goto("/")
    expect(banner).to_be_visible()
    expect(page.locator("[data-link=live]")).to_be_visible()
    asked = len(log.requests)
    banner.get_by_role("button", name="Resume Acquire").click()
    expect(banner).to_have_count(0)
    assert log.requests[asked:] == ["PUT /api/v1/phases/acquire"], "the socket tells of it"
    ended = dashboard.wait(run)
    assert (ended["state"], ended["done"]) == ("committed", PICTURES)


def test_a_phase_is_limited_by_keyboard_and_set_back(dashboard: Dashboard, page: Page) -> None:
    page.goto("/system/limits")
    field = page.get_by_label("AI: at a time in each worker", exact=True)
    field.fill("3")
    page.keyboard.press("Enter")
    until(lambda: phase(dashboard, "ai"), lambda ai: ai["concurrency"] == 3)
    more = page.get_by_role("button", name="More: AI: at a time in each worker")
    expect(more).to_be_enabled()
    more.press("Enter")
    until(lambda: phase(dashboard, "ai"), lambda ai: ai["concurrency"] == 4)
    expect(field).to_have_value("4")
    field.fill("")
    page.keyboard.press("Enter")
    until(lambda: phase(dashboard, "ai"), lambda ai: ai["concurrency"] is None)
    dashboard.http.put("/phases/ai", json={"paused": False, "concurrency": 7})
    expect(field).to_have_value("7")


def test_a_host_is_paused_slowed_and_let_go(dashboard: Dashboard, page: Page) -> None:
    page.goto("/system/limits")
    name = page.get_by_label("Host to pause")
    name.fill("no host")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Give the name of a host")
    name.fill(f"https://{HOST.upper()}/a.jpg")
    page.keyboard.press("Enter")
    row = page.get_by_role("row").filter(has=page.locator(f"[data-host='{HOST}']"))
    expect(row).to_contain_text("Paused by a user of this computer")
    pace = row.get_by_label(f"Requests to {HOST} a second from each worker")
    pace.fill("0.5")
    page.keyboard.press("Enter")
    until(
        lambda: dashboard.get("/hosts")["items"],
        lambda hosts: [(each["paused"], each["per_second"]) for each in hosts] == [(True, 0.5)],
    )
    row.get_by_role("button", name=f"Resume {HOST}").click()
    expect(row).to_contain_text("Limited by")
    row.get_by_role("button", name=f"Take the limits of {HOST} away").click()
    expect(row).to_have_count(0)


def test_workers_say_what_they_do(dashboard: Dashboard, page: Page) -> None:
    worker = dashboard.get("/workers")["items"][0]
    assert worker["memory_bytes"] > 1_000_000
    page.goto("/system")
    row = page.get_by_role("row").filter(has=page.locator("[data-worker=alive]"))
    expect(row).to_contain_text("MB")
    expect(row).to_contain_text("Waits for work")
    held = {"queue": "url-process-queue", "brand": "nike", "host": HOST, "seconds": 65.0}
    dashboard.execute(
        "insert into workers (id, host, pid, version, phases, doing, stopping, started_at, held)"
        " values (gen_random_uuid(), 'other', 7, '1', '{acquire}',"
        " '{\"url-process-queue\": 3}', false, now(), $1::jsonb)",
        json.dumps([held]),
    )
    other = page.get_by_role("row").filter(has_text="other:7")
    expect(other).to_contain_text(f"Acquire: nike from {HOST}, for 1:05")
    expect(other).to_contain_text("and 2 more messages")
    dashboard.execute("delete from workers where host = 'other'")


def test_axe_finds_nothing_grave_while_things_are_paused(
    browser: Browser, dashboard: Dashboard
) -> None:
    for name in ("gather", "acquire"):
        dashboard.http.put(f"/phases/{name}", json={"paused": True, "concurrency": 2})
    dashboard.http.put(f"/hosts/{HOST}", json={"paused": True})
    context = browser.new_context(base_url=dashboard.url, reduced_motion="reduce")
    page, log = watched_page(context)
    page.add_init_script(path=AXE)
    wrong = []
    for path, there in {"/": "[data-paused=acquire]", "/system/limits": "[data-host]"}.items():
        page.goto(path)
        expect(page.locator(there).first).to_be_visible()
        wrong += check(page, path)
    page.set_viewport_size({"width": 390, "height": 844})
    across = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert across <= 0, "the page scrolls sideways on a phone"
    context.close()
    assert wrong == []
    assert log.unexpected() == []
