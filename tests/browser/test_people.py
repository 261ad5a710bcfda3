"""Home and the run page, for people: pictures first, alarm only for what needs somebody."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.axe import AXE, GO, check
from tests.support.browser_page import PageLog, watched_page
from tests.support.dashboard import Dashboard
from triptych.messages import DEAD_LETTER_SUFFIX, URL_QUEUE

PHONE = 390
WIDER = """
() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const scrolls = (one) => one && (['auto', 'scroll', 'hidden', 'clip']
    .includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
  return [...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > width + 0.5 && !scrolls(one.parentElement))
    .map((one) => `${one.tagName} ${one.className} ${one.textContent.trim().slice(0, 40)}`)
    .concat([`${document.documentElement.scrollWidth} > ${width}`]);
}
"""
"""What makes a page wider than the window."""


def pictures(page: Page) -> Locator:
    return page.locator("[data-picture] img")


def keys(page: Page) -> list[str]:
    """Return which pictures are on the page, in its order."""
    found: Any = page.locator("[data-picture]").evaluate_all(
        "all => all.map((one) => one.dataset.picture)"
    )
    return list(found)


def asked(log: PageLog, path: str) -> list[str]:
    return [line for line in log.requests if re.search(path, line)]


def test_pictures_arrive_while_the_run_is_under_way_and_stay_when_it_is_over(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    dashboard.loop.soon(lambda: dashboard.origin.hold(after=12))
    run = dashboard.start("arriving", dashboard.origin.source(40, missing=4, start=31_000))
    page.goto(f"/runs/{run}")
    wall = page.locator("[data-pictures=arriving]")
    expect(pictures(page)).to_have_count(12)
    expect(wall.get_by_role("img").first).to_have_attribute("alt", re.compile(r"^31\d{3}\.png$"))
    before = keys(page)
    held = len(asked(log, r"/pictures\?"))
    page.evaluate("() => (window.stayed = true)")
    page.wait_for_timeout(2_500)
    assert len(asked(log, r"/pictures\?")) == held, "nothing moves, so nothing is asked"
    dashboard.loop.soon(dashboard.origin.release)
    dashboard.wait(run)
    over = page.locator("[data-pictures=published]")
    expect(over.locator("img").first).to_be_visible()
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    assert set(keys(page)) != set(before)
    assert page.evaluate("() => window.stayed"), "it was one page all along"
    over.get_by_role("link", name="Open the gallery").click()
    page.wait_for_url("**/brands/arriving**")
    expect(page.locator("[data-place='0'] img")).to_be_visible()


def test_home_shows_each_brand_by_its_own_pictures(
    dashboard: Dashboard, page: Page, log: PageLog, wall: str
) -> None:
    page.goto("/")
    card = page.locator(f"[data-brand={wall}]")
    expect(card.locator("[data-covers='4'] img")).to_have_count(4)
    shown = card.locator("[data-covers] img").evaluate_all("all => all.map((one) => one.src)")
    assert len(set(shown)) == 4
    expect(card.get_by_role("img", name=f"Pictures of {wall}")).to_be_visible()
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.wait_for_function("() => document.querySelectorAll('[data-brand]').length > 0")
    begun = len(log.requests)
    dashboard.brand("cover girl", 5, start=33_000)
    newcomer = page.locator("[data-brand='cover girl']")
    expect(newcomer.locator("[data-covers='4'] img")).to_have_count(4)
    lists = [line for line in log.requests[begun:] if "/thumbnail" not in line]
    assert set(lists) <= {
        "GET /api/v1/brands/cover%20girl",
        "GET /api/v1/brands/cover%20girl?fresh=true",
    }
    assert 1 <= len(lists) <= 3, "once for its snapshot, once when the AI phase has seen it"


def test_home_is_quiet_when_nothing_is_at_work_and_red_only_for_what_needs_somebody(
    dashboard: Dashboard, page: Page, wall: str
) -> None:
    dashboard.brand("hopeless", 3, missing=3, start=34_000)
    for queue in (URL_QUEUE, URL_QUEUE + DEAD_LETTER_SUFFIX):
        # Copies of messages that other tests had sent again come back later, to no effect.
        dashboard.execute("select pgmq.purge_queue($1)", queue)
    page.goto("/")
    line = page.locator("[data-idle=true]")
    expect(line).to_contain_text("Nothing is waiting or at work.")
    card = page.locator(f"[data-brand={wall}]")
    expect(card).to_contain_text("3 failed")
    expect(card.locator(".bad")).to_have_count(0)
    hopeless = page.locator("[data-brand=hopeless]")
    expect(hopeless.locator(".bad").first).to_have_text("Failed")
    expect(hopeless.get_by_role("img", name="hopeless has no pictures yet")).to_be_visible()
    box = page.locator("[data-brand]").first.bounding_box()
    assert box is not None
    assert box["y"] < 330, "brands are what the page begins with"
    page.get_by_role("link", name=re.compile(r"^\d+$")).click()
    expect(page.locator("[data-brand=hopeless]")).to_be_visible()
    expect(card).to_have_count(0)
    # A brand that had pictures keeps showing them when a later run fails.
    source = dashboard.origin.source(6, missing=6, start=35_000)
    dashboard.brand("fallen", 4, start=34_500)
    dashboard.wait(dashboard.start("fallen", source))
    fallen = page.locator("[data-brand=fallen]")
    expect(fallen).to_contain_text("The newest run failed")
    expect(fallen).to_contain_text("4 assets")
    expect(fallen.locator("[data-covers='4']")).to_be_visible()


def test_the_timeline_folds_what_happens_all_the_time(
    dashboard: Dashboard, page: Page, tmp_path: Any
) -> None:
    urls = [f"{dashboard.origin.url}/picture/{36_000 + n}.png" for n in range(4)]
    gone = [f"{dashboard.origin.url}/missing/{36_000 + n}.png" for n in range(2)]
    folder = tmp_path / "lists"
    folder.mkdir()
    for number, some in enumerate((urls[:2] + gone[:1], urls[2:] + gone[1:])):
        (folder / f"{number}.csv").write_text("\n".join(["url", *some]))
    state = dashboard.wait(dashboard.start("folded", f"manifest:{folder}/*.csv"))
    page.goto(f"/runs/{state['id']}")
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    folded = page.locator("[data-folded=list]")
    expect(folded).to_contain_text("Opened 2 files")
    expect(folded.locator("[data-seq]").first).to_be_hidden()
    folded.locator("summary").press("Enter")
    expect(folded.locator("[data-seq]")).to_have_count(2)
    expect(folded.locator("[data-seq]").first).to_be_visible()
    expect(page.locator(".important").filter(has_text="Committed")).to_be_visible()
    seqs = page.locator("[data-seq]").evaluate_all("all => all.map((one) => +one.dataset.seq)")
    assert sorted(seqs) == list(range(1, state["seq"] + 1))


def test_a_word_is_explained_where_it_is_met_by_keyboard(
    dashboard: Dashboard, page: Page, wall: str
) -> None:
    run = dashboard.get("/runs", brand=wall, limit=1)["items"][0]["id"]
    page.goto(f"/runs/{run}")
    page.get_by_role("button", name="Gather", exact=True).press("Enter")
    expect(page.get_by_text("Reads the list of picture addresses.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Reads the list of picture addresses.")).to_be_hidden()


@pytest.fixture
def held_run(dashboard: Dashboard) -> Any:
    """A run that stands still in the middle."""
    dashboard.loop.soon(lambda: dashboard.origin.hold(after=10))
    yield dashboard.start("midway", dashboard.origin.source(30, missing=2, start=37_000))
    dashboard.loop.soon(dashboard.origin.release)


def test_home_and_run_are_sound_in_every_size_and_scheme_while_a_run_is_under_way(
    browser: Browser, dashboard: Dashboard, wall: str, held_run: str
) -> None:
    context = browser.new_context(base_url=dashboard.url, reduced_motion="reduce")
    page, log = watched_page(context)
    page.add_init_script(path=AXE)
    page.goto(f"/runs/{held_run}")
    expect(pictures(page).first).to_be_visible()
    wrong = check(page, "a run under way")
    page.evaluate(GO, "/")
    expect(page.locator("[data-queue=acquire-working]")).to_be_visible()
    wrong += check(page, "home")
    page.get_by_role("button", name="Rows").click()
    expect(page.locator(f"[data-brand={wall}] img").first).to_be_visible()
    wrong += check(page, "home in rows")
    context.close()
    assert wrong == []
    assert log.unexpected() == []


def test_no_page_scrolls_sideways_on_a_phone(
    browser: Browser, dashboard: Dashboard, wall: str
) -> None:
    run = dashboard.get("/runs", brand=wall, limit=1)["items"][0]["id"]
    one = dashboard.get(f"/brands/{wall}/assets", limit=1)["items"][0]["id"]
    tabs = ("map", "clusters", "duplicates", "look", "compare", "snapshots", "exports")
    paths = ["/", f"/runs/{run}", f"/brands/{wall}", f"/brands/{wall}?asset={one}"]
    paths += [f"/brands/{wall}/{tab}" for tab in tabs]
    paths += ["/search", "/search?q=circles", "/system"]
    paths += [f"/system/{tab}" for tab in ("letters", "settings", "webhooks", "audit")]
    size = {"width": PHONE, "height": 844}
    context = browser.new_context(base_url=dashboard.url, viewport=size)  # type: ignore[arg-type]
    page, _ = watched_page(context)
    page.goto("/")
    wide = {}
    for path in paths:
        page.evaluate(GO, path)
        expect(page.locator("main h1, main h2").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        if found := page.evaluate(WIDER):
            wide[path] = found
    context.close()
    assert wide == {}
