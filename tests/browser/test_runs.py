"""Brands that are started, watched, steered and tried again from the page."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.support.bringing import PASTE, begin, named, opened, pasted
from tests.support.browser_page import PageLog
from tests.support.dashboard import Dashboard, until

PICTURES = 60


def number(page: Page, name: str) -> int:
    return int(page.locator(f"[data-count={name}]").inner_text().replace(",", ""))


def test_g7_a_brand_reaches_its_end_on_the_page_and_nothing_is_asked_for(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    dashboard.loop.soon(lambda: dashboard.origin.hold(after=20))
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.evaluate("() => (window.stayed = true)")
    begin(page, "seen", dashboard.origin.source(PICTURES, missing=5))
    run = page.url.rpartition("/")[2]
    expect(page.locator("[data-standing]")).to_have_text("Acquiring")
    expect(page.locator("[data-count=expected]")).to_have_text(str(PICTURES))
    expect(page.locator("[data-count=done]")).not_to_have_text("0")
    settled = len(log.requests)
    before = number(page, "done")
    assert 0 < before < PICTURES - 5
    dashboard.loop.soon(dashboard.origin.release)
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    shown = {name: number(page, name) for name in ("expected", "done", "failed", "out", "waiting")}
    assert shown == {
        "expected": PICTURES,
        "done": PICTURES - 5,
        "failed": 5,
        "out": 0,
        "waiting": 0,
    }
    expect(page.locator("[data-commit=added]")).to_have_text(str(PICTURES - 5))
    expect(page.locator("[data-reason=not_found]")).to_contain_text("5")
    expect(page.get_by_role("status").filter(has_text="seen is committed")).to_be_visible()
    state = dashboard.get(f"/runs/{run}")
    assert (state["state"], state["ai_state"]) == ("committed", "done")
    seqs = [
        int(seq or 0)
        for seq in page.locator("[data-seq]").evaluate_all("all => all.map(one => one.dataset.seq)")
    ]
    # Not in order: those that happen all the time are folded.
    assert sorted(seqs, reverse=True) == list(range(state["seq"], 0, -1))
    own = re.compile(r"/runs/[^/]+/pictures|/brands/seen/assets|/thumbnail\?")
    told = [line for line in log.requests[settled:] if not own.search(line)]
    assert told == [], "the socket tells all of it but the pictures"
    assert page.evaluate("() => window.stayed"), "it was one page all along"


def test_g7_home_follows_a_brand_that_others_start(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    expect(page.get_by_role("heading", name="Brands")).to_be_visible()
    expect(page.locator("[data-idle]")).to_be_visible()
    asked = len(log.requests)
    state = dashboard.brand("others", 12, missing=2)
    card = page.locator("[data-brand=others]")
    expect(card).to_contain_text("Committed")
    expect(card).to_contain_text("10 assets")
    expect(card).to_contain_text("2 failed")
    panels = card.get_by_role("link", name="The newest run of others").get_by_role("img")
    assert panels.get_attribute("aria-label") == (
        "Gather: 12 URLs listed. Acquire and commit: 12 of 12 processed, 2 failed. AI: done."
    )
    assert state["done"] == 10
    told = [line for line in log.requests[asked:] if "/thumbnail" not in line]
    assert set(told) <= {"GET /api/v1/brands/others", "GET /api/v1/brands/others?fresh=true"}


def test_g7_a_cut_socket_is_told_of_and_caught_up_with(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    sockets: list[WebSocketRoute] = []
    away = False

    def route(socket: WebSocketRoute) -> None:
        if away:
            socket.close(code=1012)
            return
        sockets.append(socket)
        socket.connect_to_server()

    page.route_web_socket(re.compile("/ws$"), route)
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    asked = len(log.requests)
    away = True
    sockets[-1].close(code=1012)
    expect(page.locator("[data-link=reconnecting]")).to_be_visible()
    dashboard.brand("missed", 9)
    assert page.locator("[data-brand=missed]").count() == 0
    away = False
    expect(page.locator("[data-link=live]")).to_be_visible()
    expect(page.locator("[data-brand=missed]")).to_contain_text("9 assets")
    brands = dashboard.get("/brands", limit=500)["items"]
    shown = page.locator("[data-brand]").evaluate_all("all => all.map(one => one.dataset.brand)")
    assert sorted(shown) == sorted(brand["name"] for brand in brands)
    for brand in brands:
        expect(page.locator(f"[data-brand='{brand['name']}']")).to_contain_text(
            f"{brand['assets']} asset"
        )
    other = re.compile(r"/me|/api/v1/brands/missed|/thumbnail")
    assert [line for line in log.requests[asked:] if not other.search(line)] == []


def test_g7_what_died_while_it_slept_is_found_on_waking(dashboard: Dashboard, page: Page) -> None:
    asleep = False
    sockets: list[WebSocketRoute] = []

    def route(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        server = socket.connect_to_server()
        mine = len(sockets)
        # A connection that is gone without having said so: nothing comes through any more.
        socket.on_message(lambda text: None if asleep and mine == 1 else server.send(text))
        server.on_message(lambda text: None if asleep and mine == 1 else socket.send(text))

    page.route_web_socket(re.compile("/ws$"), route)
    page.clock.install()
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    asleep = True
    dashboard.brand("slept through", 6, start=11_000)
    assert page.locator("[data-brand='slept through']").count() == 0
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.run_for(6_000)
    expect(page.locator("[data-brand='slept through']")).to_contain_text("6 assets")
    expect(page.locator("[data-link=live]")).to_be_visible()
    assert len(sockets) == 2


def test_g7_what_is_shown_is_called_stale_when_nobody_answers(page: Page) -> None:
    away = False

    def route(socket: WebSocketRoute) -> None:
        if away:
            socket.close(code=1012)
        else:
            sockets.append(socket)
            socket.connect_to_server()

    sockets: list[WebSocketRoute] = []
    page.route_web_socket(re.compile("/ws$"), route)
    page.clock.install()
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    away = True
    sockets[-1].close(code=1012)
    expect(page.locator("[data-link=reconnecting]")).to_be_visible()
    page.clock.run_for(16_000)
    expect(page.locator("[data-link=stale]")).to_contain_text("as of")
    away = False
    page.clock.run_for(9_000)
    expect(page.locator("[data-link=live]")).to_be_visible()


def test_failed_items_are_redriven_from_the_page(dashboard: Dashboard, page: Page) -> None:
    state = dashboard.brand("mended", 10, missing=4, start=5000)
    page.goto(f"/runs/{state['id']}")
    page.locator("[data-reason=not_found]").click()
    expect(page.get_by_text("/missing/5000.png")).to_be_visible()
    dashboard.loop.soon(dashboard.origin.mend)
    expect(page.get_by_role("button", name="Retry 4 items")).to_be_visible()
    page.get_by_role("button", name="Retry these 4").click()
    page.wait_for_url(lambda url: state["id"] not in url)
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(page.locator("[data-commit=added]")).to_have_text("4")
    assert dashboard.get("/brands/mended")["assets"] == 10


def test_a_run_is_paused_resumed_and_cancelled(dashboard: Dashboard, page: Page) -> None:
    dashboard.loop.soon(dashboard.origin.hold)
    run = dashboard.start("stopped", dashboard.origin.source(20, start=7000))
    page.goto(f"/runs/{run}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-standing]")).to_have_text("Paused")
    page.locator("main").get_by_role("button", name="Resume").click()
    expect(page.locator("[data-standing]")).not_to_have_text("Paused")
    page.get_by_role("button", name="Cancel", exact=True).click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("keeps its current snapshot")
    asked.get_by_role("button", name="Go back").click()
    assert dashboard.get(f"/runs/{run}")["state"] == "active"
    page.get_by_role("button", name="Cancel", exact=True).click()
    asked.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("[data-standing]")).to_have_text("Cancelled")
    until(lambda: dashboard.get(f"/runs/{run}"), lambda state: state["state"] == "cancelled")
    dashboard.loop.soon(dashboard.origin.release)


def test_g7_a_brand_is_deleted_once_its_name_is_typed_and_its_end_is_told(
    dashboard: Dashboard, page: Page
) -> None:
    dashboard.brand("doomed", 4, start=12_000)
    page.goto("/brands/doomed")
    page.get_by_role("button", name="More").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    page.get_by_role("button", name="More").click()
    page.get_by_role("button", name="Delete").click()
    asked = page.get_by_role("dialog", name="Delete doomed?")
    sure = asked.get_by_role("button", name="Delete it")
    expect(sure).to_be_disabled()
    asked.get_by_label("Type doomed to confirm").fill("doomed")
    sure.click()
    page.wait_for_url("**/")
    expect(page.get_by_role("status").filter(has_text="doomed is deleted.")).to_be_visible()
    expect(page.locator("[data-brand=doomed]")).to_have_count(0)
    assert "doomed" not in {brand["name"] for brand in dashboard.get("/brands", limit=500)["items"]}


def test_a_run_of_another_source_is_named_and_can_be_replaced(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    log.expected.append("the server responded with a status of 409")
    source = dashboard.origin.source(PICTURES)
    dashboard.loop.soon(lambda: dashboard.origin.hold(after=0))
    page.goto("/")
    begin(page, "taken", source)
    first = page.url.rpartition("/")[2]
    dialog = pasted(page, urls_of(dashboard, 1)[0])
    named(dialog, "taken")
    expect(dialog.get_by_role("alert")).to_contain_text(source)
    assert dashboard.get(f"/runs/{first}")["state"] == "active"
    dialog.get_by_role("button", name="Cancel it and start this one").click()
    expect(dialog).to_be_hidden()
    page.wait_for_url(lambda url: not url.endswith(first))
    assert dashboard.get(f"/runs/{first}")["state"] == "cancelled"
    dashboard.loop.soon(dashboard.origin.release)


def urls_of(dashboard: Dashboard, count: int) -> list[str]:
    """Return some of the origin's pictures."""
    return [f"{dashboard.origin.url}/picture/{number}.png" for number in range(count)]


def test_a_source_is_checked_before_it_is_started(
    dashboard: Dashboard, page: Page, tmp_path: Path
) -> None:
    first, second = urls_of(dashboard, 2)
    path = tmp_path / "variants.csv"
    rows = [f"{first};Größe 41", f"{first};Größe 42", ";ohne Bild", f"{second};Größe 43"]
    path.write_bytes("\n".join(["Image Src;Titel", *rows]).encode("cp1252"))
    page.goto("/")
    dialog = pasted(page, str(path))
    report = dialog.locator("[data-check]")
    expect(report).to_contain_text("CSV (windows-1252, semicolon). Addresses in Image Src")
    expect(report).to_contain_text("Windows-1252")
    expect(report.locator("[data-rows]")).to_contain_text(
        "4 rows read: 2 pictures, 1 merged with one of them, 1 without an address"
    )
    expect(report).to_contain_text("Größe 42")
    assert "checked" not in {each["name"] for each in dashboard.get("/brands", limit=500)["items"]}
    named(dialog, "checked")
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(page.locator("[data-rows]")).to_contain_text("4 rows read")
    expect(page.get_by_role("heading", name="1 row without a URL")).to_be_visible()
    expect(page.get_by_text("line 4: There is no URL in Image Src.")).to_be_visible()
    expect(page.get_by_text(re.compile("variants.csv: CSV .windows-1252"))).to_be_visible()


def test_a_run_that_would_empty_a_brand_waits_for_a_decision(
    dashboard: Dashboard, page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("\n".join(["url", *urls_of(dashboard, 4)]))
    page.goto("/")
    begin(page, "emptied", str(path))
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    path.write_text("url\n")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("[data-standing]")).to_have_text("Held")
    expect(page.get_by_text("it would remove 4 of 4 assets").first).to_be_visible()
    assert dashboard.get("/brands/emptied")["assets"] == 4
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Discard it").click()
    expect(page.locator("[data-standing]")).to_have_text("Cancelled")
    assert dashboard.get("/brands/emptied")["assets"] == 4
    path.write_text("\n".join(["url", *urls_of(dashboard, 1)]))
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("[data-standing]")).to_have_text("Held")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("button", name="Publish it").click()
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(page.locator("[data-commit=removed]")).to_have_text("3")
    assert dashboard.get("/brands/emptied")["assets"] == 1


def sent(log: PageLog, since: int) -> list[str]:
    """Return the requests since one that send something; pictures come when they come."""
    return [asked for asked in log.requests[since:] if not asked.startswith("GET ")]


def test_what_is_wrong_is_said_before_and_after_sending(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    log.expected.append("the server responded with a status of 422")
    log.expected.append("the server responded with a status of 400")
    page.goto("/")
    dialog = opened(page)
    asked = len(log.requests)
    dialog.get_by_role("button", name="Check it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Bring a file")
    assert sent(log, asked) == []
    dialog.get_by_label(PASTE).fill("/nowhere.csv")
    dialog.get_by_role("button", name="Check it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("There is no file /nowhere.csv.")
    expect(dialog.get_by_role("button", name="Go on")).to_be_disabled()
    dialog.get_by_role("button", name="Back").click()
    expect(dialog.get_by_label(PASTE)).to_have_value("/nowhere.csv")
    dialog.get_by_label(PASTE).fill(urls_of(dashboard, 1)[0])
    dialog.get_by_role("button", name="Check it").click()
    dialog.get_by_role("button", name="Go on").click()
    asked = len(log.requests)
    dialog.get_by_role("button", name="Start", exact=True).click()
    expect(dialog).to_contain_text("Give the brand a name.")
    dialog.get_by_label("Brand", exact=True).fill("a/b")
    expect(dialog).to_contain_text("Slashes are not allowed.")
    assert sent(log, asked) == []


def test_a_run_that_stalls_says_so_without_being_asked(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    dashboard.loop.soon(lambda: dashboard.origin.hold(after=0))
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    begin(page, "stuck", dashboard.origin.source(3))
    expect(page.locator("[data-standing]")).to_have_text("Acquiring")
    run = page.url.rpartition("/")[2]
    # No phase was paused in these 20 minutes, whatever other tests did.
    dashboard.execute("update phase_limits set resumed_at = null")
    dashboard.execute(
        "update runs set progressed_at = progressed_at - interval '20 minutes' where id = $1::uuid",
        run,
    )
    expect(page.locator("[data-standing]")).to_have_text("Stalled")
    panel = page.locator("[data-stalled]")
    expect(panel).to_contain_text("Nothing has moved for 20:")
    expect(panel.locator("[data-cause]")).to_contain_text("of its phase")
    page.goto("/?state=stalled")
    card = page.locator("[data-brand=stuck]")
    expect(card).to_contain_text("Stalled")
    expect(card.locator("[data-cause]")).to_contain_text("alive")
    expect(page.locator("[data-brand]")).to_have_count(1)
    dashboard.loop.soon(dashboard.origin.release)
    expect(card).to_have_count(0)
    page.goto(f"/runs/{run}")
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(panel).to_have_count(0)
