"""The API's reference: drawn from this server alone, under its policy, with the key."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.support.api_server import HOST, create_keys, serving
from tests.support.browser_page import PageLog, watched_page
from tests.support.dashboard import Dashboard, Loop

UNDERSCORE = "escaping deep link whitespace with `_` is unsupported"
"""Swagger UI says so of the address of any operation with one, and opens it."""


def alone(context: BrowserContext, url: str) -> list[str]:
    """Let nothing but the server at an address be reached; return what else was asked for."""
    others: list[str] = []

    def decide(route: Route) -> None:
        if route.request.url.startswith(f"{url}/"):
            route.continue_()
        else:
            others.append(route.request.url)
            route.abort()

    context.route("**/*", decide)
    return others


def try_brands(page: Page) -> str:
    """Ask for the brands from within the reference; return the command that is shown for it."""
    brands = page.locator("#operations-brands-list_brands")
    brands.get_by_role("button").first.click()
    brands.get_by_role("button", name="Try it out").click()
    brands.get_by_role("button", name="Execute").click()
    expect(brands.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    return brands.locator(".curl").inner_text()


def test_it_is_drawn_without_any_other_host(dashboard: Dashboard, page: Page, log: PageLog) -> None:
    others = alone(page.context, dashboard.url)
    log.expected.append(UNDERSCORE)
    paths = dashboard.get("/openapi.json")["paths"]
    page.goto("/system")
    page.get_by_role("link", name="API reference").click()
    expect(page).to_have_url(f"{dashboard.url}/api/docs")
    operations = page.locator(".opblock")
    expect(operations).to_have_count(sum(len(operations) for operations in paths.values()))
    expect(operations.filter(has_text="Start a run of a brand")).to_be_visible()
    # Everything of one operation: parameters, a body, answers, its schema with what it says.
    put = page.locator("#operations-brands-put_brand")
    put.get_by_role("button").first.click()
    expect(put).to_contain_text("A field that is left out is removed.")
    put.get_by_role("tab", name="Schema").first.click()
    expect(put).to_contain_text("forbidden")
    page.get_by_role("button", name="Schemas").click()
    expect(page.locator(".models")).to_contain_text("AssetShown")
    assert f"{dashboard.url}/api/v1/brands" in try_brands(page)
    with page.expect_download() as told:
        page.get_by_role("link", name="Download openapi.json").click()
    assert told.value.suggested_filename == "openapi.json"
    # It is there again after another view, and by its address.
    page.get_by_role("link", name="Brands", exact=True).click()
    expect(page.get_by_role("heading", name="Brands")).to_be_visible()
    page.go_back()
    expect(operations.first).to_be_visible()
    page.goto("/api/docs#/operations/delete_brand")
    page.reload()
    expect(page.locator("#operations-operations-delete_brand.is-open")).to_be_visible()
    assert others == []
    assert log.unexpected() == []


def test_it_asks_for_the_key_and_sends_it(
    browser: Browser, loop: Loop, migrated_dsn: str, tmp_path: Path
) -> None:
    with loop.holding(serving(migrated_dsn, tmp_path)) as opened:
        tokens = loop.call(create_keys(opened))
    with loop.holding(serving(migrated_dsn, tmp_path, allowed_hosts=(HOST,))) as api:
        context = browser.new_context(base_url=api.url, viewport={"width": 390, "height": 844})
        others = alone(context, api.url)
        page, log = watched_page(context)
        log.expected += ["the server responded with a status of 401", UNDERSCORE]
        page.goto("/api/docs")
        expect(page.get_by_label("Key", exact=True)).to_be_focused()
        assert page.locator(".opblock").count() == 0
        page.keyboard.type(tokens["reader"])
        page.keyboard.press("Enter")
        expect(page.locator(".opblock").first).to_be_visible()
        assert tokens["reader"] not in try_brands(page)
        wide = page.evaluate("() => document.documentElement.scrollWidth")
        assert wide <= 390, "a phone's width is enough"
        # What one key was answered is not there for the next.
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Key", exact=True).fill(tokens["operator"])
        page.keyboard.press("Enter")
        expect(page.locator(".opblock").first).to_be_visible()
        assert page.locator(".live-responses-table").count() == 0
        context.close()
        assert others == []
        assert log.unexpected() == []
