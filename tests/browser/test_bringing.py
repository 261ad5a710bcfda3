"""Bringing pictures from the page: files, pasted text, addresses; checked, mapped, started."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.support.axe import AXE, check
from tests.support.bringing import PASTE, named, opened, pasted
from tests.support.browser_page import PageLog, watched_page
from tests.support.dashboard import Dashboard
from tests.support.list_files import workbook
from tests.support.site_server import Answer, Site, says, site, xml

PNG = b"\x89PNG\r\n\x1a\n and the rest of a picture"
DROP = """
([selector, name, type, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, {type}));
  const place = document.querySelector(selector);
  for (const kind of ['dragenter', 'dragover', 'drop'])
    place.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}
"""
SIDEWAYS = """
() => {
  const dialog = document.querySelector('dialog');
  const [box, body] = [dialog.getBoundingClientRect(), dialog.querySelector('.body')];
  return box.left < 0 || box.right > innerWidth || body.scrollWidth > body.clientWidth;
}
"""


def pictures(dashboard: Dashboard, count: int, start: int) -> list[str]:
    """Return addresses of some of the origin's pictures."""
    return [f"{dashboard.origin.url}/picture/{start + n}.png" for n in range(count)]


def chosen(dialog: Locator, name: str, content: bytes) -> None:
    """Choose a file, as with the system's own dialog."""
    dialog.get_by_label("Choose a file").set_input_files(
        {"name": name, "mimeType": "", "buffer": content}
    )


def in_the_gallery(page: Page, brand: str, count: int) -> None:
    """Wait for the run's end, go to the gallery and see the pictures."""
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(page.locator("[data-count=done]")).to_have_text(str(count))
    page.goto(f"/brands/{brand}")
    expect(page.locator("[data-place] img")).to_have_count(count)


def test_a_spreadsheet_from_the_desktop_ends_in_the_gallery(
    dashboard: Dashboard, page: Page
) -> None:
    first, second, third = pictures(dashboard, 3, 41_000)
    rows: list[list[object]] = [["SKU", "Foto", "Titel"]]
    rows += [[1, first, "Schuh"], [2, second, "Ball"], [3, third, "Hut"]]
    page.goto("/")
    dialog = opened(page)
    chosen(dialog, "Acme_products 2026.xlsx", workbook({"Liste": rows}))
    expect(dialog.locator("[data-check]")).to_contain_text("Excel workbook")
    expect(dialog.locator("[data-check]")).to_contain_text("3 pictures")
    expect(dialog.locator("[data-row]")).to_have_count(3)
    expect(dialog.locator("[data-columns]")).to_contain_text("Foto is taken")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.get_by_label("Brand", exact=True)).to_have_value("acme")
    dialog.get_by_label("Brand", exact=True).fill("from a spreadsheet")
    dialog.get_by_role("button", name="Start", exact=True).click()
    in_the_gallery(page, "from a spreadsheet", 3)
    brand = dashboard.get("/brands/from a spreadsheet")
    assert brand["source"].startswith("upload:")
    assert "url-column=Foto" in brand["source"]
    # The list is kept: the brand can be run again from its usual source, which is named.
    page.goto("/")
    again = opened(page)
    again.get_by_text("Or run a brand that exists again").click()
    again.get_by_label("Which brand").fill("nobody")
    expect(again).to_contain_text("No brand is called so.")
    expect(again.get_by_role("button", name="Take its usual source")).to_be_disabled()
    again.get_by_label("Which brand").fill("from a spreadsheet")
    expect(again).to_contain_text(brand["source"])
    again.get_by_role("button", name="Take its usual source").click()
    again.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-standing]")).to_have_text("Committed")


def test_a_file_that_is_dropped_on_the_page_opens_the_dialog_with_it(
    dashboard: Dashboard, page: Page
) -> None:
    first, second, _ = pictures(dashboard, 3, 42_000)
    text = f"url,brand\n{first},dropped\n{second},dropped\n{first},other\n"
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.evaluate(DROP, ["main", "list.csv", "text/csv", text])
    dialog = page.get_by_role("dialog", name="Start a brand")
    expect(dialog.locator("[data-list]")).to_contain_text("brand in brand")
    dialog.get_by_role("button", name="Go on").click()
    # The list has several brands: they are offered, and no other name is taken.
    expect(dialog.get_by_label("Brand", exact=True)).to_have_value("")
    dialog.get_by_label("Brand", exact=True).fill("nobody")
    dialog.get_by_role("button", name="Start", exact=True).click()
    expect(dialog).to_contain_text("The list has no such brand.")
    dialog.locator("[data-brands]").get_by_role("button", name="dropped").click()
    expect(dialog).to_contain_text("2 pictures from list.csv")
    dialog.get_by_role("button", name="Start", exact=True).click()
    in_the_gallery(page, "dropped", 2)


def test_pasted_addresses_and_cells(dashboard: Dashboard, page: Page, log: PageLog) -> None:
    first, second, third = pictures(dashboard, 3, 43_000)
    page.goto("/")
    dialog = pasted(page, f"{first}\n{second}\n\nnot an address\n{first}\n")
    expect(dialog.locator("[data-rows]")).to_contain_text("4 rows read")
    problem = dialog.get_by_role("list", name="What is left out or would fail")
    expect(problem).to_contain_text("line 4")
    assert not [line for line in log.requests if "/uploads" in line]
    named(dialog, "from addresses")
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(page.locator("[data-count=done]")).to_have_text("2")
    page.goto("/")
    dialog = opened(page)
    dialog.get_by_label(PASTE).fill(f"Bild\tName\n{third}\tHut")
    expect(dialog.locator("[data-pasted]")).to_have_text(
        "Cells of a spreadsheet: 1 row, 2 columns."
    )
    dialog.get_by_role("button", name="Check it").click()
    expect(dialog.locator("[data-check]")).to_contain_text("TSV")
    expect(dialog.locator("[data-columns]")).to_contain_text("Bild is taken")
    named(dialog, "from cells")
    in_the_gallery(page, "from cells", 1)


def served(dashboard: Dashboard) -> Mapping[str, Answer]:
    """A shop's site: its sitemap, and the products that Shopify lists."""
    shoe, ball = pictures(dashboard, 2, 44_000)
    found = (
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
        'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"><url>'
        "<loc>https://shop.example/shoe</loc>"
        f"<image:image><image:loc>{shoe}</image:loc></image:image></url></urlset>"
    )
    image = {"id": 1, "src": ball}
    product = {"id": 7, "title": "Ball", "handle": "ball", "images": [image], "variants": []}
    listed = [[product], []]
    answers = {
        f"/products.json?limit=250&page={n}": says(json.dumps({"products": each}), "text/json")
        for n, each in enumerate(listed, start=1)
    }
    return {**answers, "/sitemap.xml": xml(found)}


@contextmanager
def shop(dashboard: Dashboard) -> Iterator[Site]:
    with dashboard.loop.holding(site(served(dashboard))) as opened_site:
        yield opened_site


def test_a_sitemap_and_a_shop_by_address(dashboard: Dashboard, page: Page) -> None:
    with shop(dashboard) as its:
        page.goto("/")
        dialog = opened(page)
        dialog.get_by_label(PASTE).fill(its.url("/sitemap.xml"))
        kind = dialog.get_by_label("What it is")
        expect(kind).to_have_value("sitemap")
        expect(dialog).to_contain_text("because it is called sitemap.xml")
        dialog.get_by_role("button", name="Check it").click()
        expect(dialog.locator("[data-check]")).to_contain_text("1 picture")
        expect(dialog.locator("[data-columns]")).to_have_count(0)
        named(dialog, "from a sitemap")
        in_the_gallery(page, "from a sitemap", 1)
        page.goto("/")
        dialog = opened(page)
        dialog.get_by_label(PASTE).fill(its.url())
        expect(kind).to_have_value("page")
        kind.select_option("shopify")
        expect(dialog).to_contain_text("public products feed")
        dialog.get_by_role("button", name="Check it").click()
        expect(dialog.locator("[data-row]")).to_contain_text("Ball")
        named(dialog, "from a shop")
        in_the_gallery(page, "from a shop", 1)


def test_a_picture_is_no_list_and_that_is_said(page: Page, log: PageLog) -> None:
    log.expected.append("the server responded with a status of 422")
    page.goto("/")
    dialog = opened(page)
    asked = len(log.requests)
    dialog.get_by_label("Choose a file").set_input_files(
        {"name": "cow.png", "mimeType": "image/png", "buffer": PNG}
    )
    expect(dialog.get_by_role("alert")).to_contain_text("cow.png is a picture, not a list.")
    sent = [each for each in log.requests[asked:] if not each.startswith("GET ")]
    assert sent == [], "it is not sent"
    chosen(dialog, "renamed.csv", PNG)
    expect(dialog.get_by_role("alert")).to_contain_text("It is a PNG picture, not a list.")
    dialog.get_by_role("button", name="Back").click()
    expect(dialog.locator("[data-file]")).to_contain_text("renamed.csv")
    dialog.get_by_role("button", name="Take the file out").click()
    expect(dialog.get_by_label(PASTE)).to_be_visible()


def test_columns_are_chosen_where_none_is_known(dashboard: Dashboard, page: Page) -> None:
    rows = [f"{n},{url},A{n}" for n, url in enumerate(pictures(dashboard, 2, 45_000))]
    page.goto("/")
    dialog = opened(page)
    chosen(dialog, "odd.csv", "\n".join(["nr,wo,was", *rows, ",,"]).encode())
    where = dialog.locator("[data-column=wo] select")
    expect(where).to_have_value("picture")
    where.select_option("kept")
    expect(dialog.get_by_role("alert")).to_contain_text("Choose the column")
    expect(dialog.get_by_role("button", name="Go on")).to_be_disabled()
    where.select_option("picture")
    dialog.locator("[data-column=nr] select").select_option("key")
    expect(dialog.locator("[data-list]")).to_contain_text("Addresses in wo")
    expect(dialog.locator("[data-column=was]")).to_contain_text("A0 · A1")
    named(dialog, "mapped")
    page.wait_for_url("**/runs/*")
    source = dashboard.get("/brands/mapped")["source"]
    assert source.endswith("#url-column=wo&brand-column=&key=nr")
    expect(page.locator("[data-standing]")).to_have_text("Committed")


def test_nothing_that_was_brought_is_lost(dashboard: Dashboard, page: Page, log: PageLog) -> None:
    log.expected.append("Failed to load resource")
    (first,) = pictures(dashboard, 1, 46_000)
    page.goto("/")
    dialog = opened(page)
    dialog.get_by_label(PASTE).fill(first)
    page.keyboard.press("Escape")
    question = page.get_by_role("dialog", name="Throw away what you brought?")
    question.get_by_role("button", name="Go back").click()
    expect(dialog.get_by_label(PASTE)).to_have_value(first)
    # What is being sent can be stopped, and sent again.
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/uploads?*", hold)
    chosen(dialog, "slow.csv", f"url\n{first}\n".encode())
    expect(dialog.locator("[data-reading=upload]")).to_contain_text("Sending slow.csv")
    dialog.get_by_role("button", name="Stop").click()
    expect(dialog.get_by_role("alert")).to_contain_text("What you brought is still here.")
    # A refusal of the server is shown as it says it.
    page.unroute("**/api/v1/uploads?*")
    answer = {"detail": "It has more than 5 MiB.", "remedy": "Send it in parts."}
    page.route(
        "**/api/v1/uploads?*",
        lambda route: route.fulfill(
            status=413, content_type="application/problem+json", body=json.dumps(answer)
        ),
    )
    dialog.get_by_role("button", name="Check again").click()
    expect(dialog.get_by_role("alert")).to_contain_text("It has more than 5 MiB. Send it in parts.")
    page.unroute("**/api/v1/uploads?*")
    dialog.get_by_role("button", name="Check again").click()
    expect(dialog.locator("[data-check]")).to_contain_text("1 picture")
    dialog.get_by_role("button", name="Close").click()
    question.get_by_role("button", name="Throw it away").click()
    expect(dialog).to_be_hidden()
    assert held


def test_every_step_is_accessible_in_every_size_and_scheme(
    browser: Browser, dashboard: Dashboard, tmp_path: Path
) -> None:
    (first,) = pictures(dashboard, 1, 47_000)
    long = "x" * 300
    context = browser.new_context(base_url=dashboard.url, reduced_motion="reduce")
    page, log = watched_page(context)
    log.expected.append("the server responded with a status of 422")
    page.add_init_script(path=AXE)
    page.goto("/")
    wrong: list[str] = []

    def look(name: str) -> None:
        wrong.extend(check(page, name))
        page.set_viewport_size({"width": 390, "height": 844})
        assert not page.evaluate(SIDEWAYS), f"{name} scrolls sideways on a phone"

    dialog = opened(page)
    look("bring")
    dialog.get_by_label(PASTE).fill(f"https://example.com/{long}")
    look("address")
    chosen(dialog, "photo.csv", PNG)
    expect(dialog.get_by_role("alert")).to_be_visible()
    look("refused")
    dialog.get_by_role("button", name="Back").click()
    text = f"foto;brand;{long}\n{first};acme;{long}\n;acme;x\n{first};other;\n"
    chosen(dialog, f"{long[:120]}.csv", text.encode())
    expect(dialog.locator("[data-row]")).to_have_count(3)
    look("check")
    dialog.get_by_role("button", name="Go on").click()
    expect(dialog.locator("[data-brands]")).to_be_visible()
    look("start")
    context.close()
    assert wrong == []
    assert log.unexpected() == []


def test_all_of_it_by_keyboard_alone(dashboard: Dashboard, page: Page) -> None:
    (first,) = pictures(dashboard, 1, 48_000)
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Start a brand")
    expect(dialog.get_by_label(PASTE)).to_be_focused()
    page.keyboard.type(f"foto\tname\n{first}\tShoe")
    page.keyboard.press("Control+Enter")
    column = dialog.locator("[data-column=name] select")
    expect(column).to_have_value("kept")
    for _ in range(12):
        page.keyboard.press("Tab")
        if column.evaluate("(select) => select === document.activeElement"):
            break
    page.keyboard.type("Number")
    expect(column).to_have_value("key")
    expect(dialog.locator("[data-reading]")).to_have_count(0)
    page.keyboard.press("Control+Enter")
    expect(dialog.get_by_label("Brand", exact=True)).to_be_focused()
    page.keyboard.type("by its keys")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*")
    assert dashboard.get("/brands/by its keys")["source"].endswith("&key=name")
    expect(page.locator("[data-standing]")).to_have_text("Committed")
