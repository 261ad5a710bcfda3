"""A server that asks for a key: what is shown without, and with one."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.support.api_server import HOST, Api, commit, create_keys, put_objects, serving
from tests.support.browser_page import watched_page
from tests.support.dashboard import Loop
from tests.support.picture_origin import picture


async def _fill(api: Api) -> dict[str, str]:
    contents = {f"https://x.example/{n}": (picture(n), "image/png") for n in range(5)}
    await put_objects(api.services.settings, contents)
    await commit(api.stores, "nike", contents)
    return await create_keys(api)


def test_a_key_is_asked_for_kept_for_the_tab_and_let_go(
    browser: Browser, loop: Loop, migrated_dsn: str, tmp_path: Path
) -> None:
    with loop.holding(serving(migrated_dsn, tmp_path)) as opened:
        tokens = loop.call(_fill(opened))
    with loop.holding(serving(migrated_dsn, tmp_path, allowed_hosts=(HOST,))) as api:
        context = browser.new_context(base_url=api.url)
        page, log = watched_page(context)
        log.expected += ["the server responded with a status of 401"]
        page.goto("/brands/nike")
        field = page.get_by_label("Key", exact=True)
        expect(field).to_be_focused()
        field.fill("secret")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("begins with trk_")
        field.fill(tokens["revoked"])
        page.keyboard.press("Enter")
        expect(page.get_by_text("was revoked")).to_be_visible()
        field.fill(tokens["reader"])
        page.keyboard.press("Enter")
        expect(page.locator("[data-place='4'] img")).to_be_visible()
        assert (page.locator("[data-place='4'] img").get_attribute("src") or "").startswith("blob:")
        expect(page.locator("[data-link=live]")).to_be_visible()
        assert page.get_by_role("button", name="Start a brand").count() == 0, "a reader reads"
        page.reload()
        expect(page.locator("[data-place='4'] img")).to_be_visible()
        stored = page.evaluate("() => JSON.stringify([{...localStorage}, document.cookie])")
        assert tokens["reader"] not in stored
        other, _ = watched_page(context)
        other.goto("/")
        expect(other.get_by_label("Key", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(field).to_be_visible()
        assert page.evaluate("() => sessionStorage.length") == 0
        context.close()
        assert log.unexpected() == []
