"""The machinery on the page: dead letters as they come and go, workers, webhooks."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.support.browser_page import PageLog
from tests.support.dashboard import Dashboard, until

NOTHING_LISTENS = "http://127.0.0.1:9/hook"


def test_g7_dead_letters_and_workers_are_told_of_and_redriven(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    tile = page.locator("[data-dead-letters]")
    expect(tile).to_have_attribute("data-dead-letters", "0")
    asked = len(log.requests)
    dashboard.stray({"brand": "a/b"})
    expect(tile).to_have_attribute("data-dead-letters", "1")
    # A card may just come into sight, and load its covers.
    since = [request for request in log.requests[asked:] if "/thumbnail?" not in request]
    assert since == [], "the socket tells of it"
    page.get_by_role("link", name="Dead letters").click()
    expect(page.locator("[data-letter]")).to_contain_text("a/b")
    page.locator("[data-letter]").get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status").filter(has_text="1 dead letter sent again")).to_be_visible()
    # It is as wrong as before, so it comes back: a second letter beside the first, which was sent.
    expect(page.locator("[data-letter]")).to_have_count(2)
    expect(page.locator("[data-letter]").last).to_contain_text("sent again")
    page.locator("[data-letter]").first.get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(page.get_by_role("status").filter(has_text="1 dead letter discarded")).to_be_visible()
    expect(page.locator("[data-letter]")).to_have_count(1)
    page.get_by_role("link", name="Health").click()
    expect(page.locator("[data-worker=alive]")).to_have_count(1)


def test_a_webhook_is_added_told_looked_at_and_removed(
    dashboard: Dashboard, page: Page, log: PageLog
) -> None:
    log.expected.append("the server responded with a status of 422")
    page.goto("/system/webhooks")
    page.get_by_role("button", name="Add a webhook").click()
    dialog = page.get_by_role("dialog")
    address = dialog.get_by_label("Address", exact=True)
    expect(address).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("Give an address")
    address.fill("http://10.0.0.1/hook")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("TRIPTYCH_FETCH_ALLOW")
    address.fill(NOTHING_LISTENS)
    dialog.get_by_label("Brand", exact=True).fill("hooked")
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-secret]")).to_have_text(re.compile("^whsec_"))
    dialog.get_by_role("button", name="Close").last.click()
    hook = page.locator("[data-webhook]", has_text=NOTHING_LISTENS)
    expect(hook).to_contain_text(NOTHING_LISTENS)
    dashboard.brand("hooked", 3, start=9000)
    identity = hook.get_attribute("data-webhook")
    until(
        lambda: dashboard.get(f"/webhooks/{identity}/deliveries")["items"],
        lambda told: any(each["reason"] for each in told),
    )
    hook.get_by_role("button", name="Deliveries").click()
    expect(hook.get_by_role("table")).to_contain_text("next attempt")
    hook.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(hook).to_have_count(0)
    assert NOTHING_LISTENS not in {each["url"] for each in dashboard.get("/webhooks")["items"]}
