"""A brand's pictures: the gallery, what is found in it, the map, and all of it by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import FilePayload, Page, expect

from tests.support.browser_page import WALL, PageLog
from tests.support.dashboard import Dashboard
from tests.support.picture_origin import picture

SHOWN = WALL - 3
PASTE = """
(bytes) => {
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([new Uint8Array(bytes)], 'b.png', {type: 'image/png'}));
  document.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true}));
}
"""


def test_the_gallery_shows_and_filters_and_has_an_address_for_everything(
    dashboard: Dashboard, page: Page, wall: str, log: PageLog
) -> None:
    page.goto(f"/brands/{wall}")
    gallery = page.get_by_role("list", name=f"Assets of {wall}")
    expect(gallery).to_have_attribute("data-loaded", str(SHOWN))
    expect(gallery.get_by_role("img").first).to_be_visible()
    first = gallery.locator("[data-place='0']")
    first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("SHA-256")
    one = dashboard.get(f"/assets/{first.get_attribute('data-asset')}")
    expect(drawer).to_contain_text(one["sha256"])
    expect(drawer).to_contain_text(one["url"])
    expect(drawer.locator("[data-neighbours] button")).to_have_count(9)
    page.keyboard.press("ArrowRight")
    expect(drawer).not_to_contain_text(one["sha256"])
    page.reload()
    expect(drawer).to_contain_text("SHA-256")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    page.get_by_label("Search addresses and metadata").fill("Picture 47")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 found")).to_be_visible()
    expect(page).to_have_url(re.compile(r"text=Picture(\+|%20)47"))
    page.get_by_role("button", name="Clear").click()
    page.goto(f"/brands/{wall}?media_type=image/gif")
    expect(page.get_by_text("No assets match")).to_be_visible()
    page.get_by_role("button", name="Show all assets").click()
    expect(gallery).to_have_attribute("data-loaded", str(SHOWN))


def test_assets_are_narrowed_down_by_what_they_are(
    dashboard: Dashboard, page: Page, wall: str
) -> None:
    page.goto(f"/brands/{wall}")
    panel = page.get_by_role("complementary", name="Filters")
    found = page.get_by_text(re.compile(r"^[\d,]+ found$"))
    colours = dashboard.get(f"/brands/{wall}/facets", by="colour")["facets"][0]["counts"]
    few = min(colours, key=lambda each: each["count"])
    choice = panel.get_by_role("button", name=re.compile(f"^{few['value']} ", re.IGNORECASE))
    choice.click()
    expect(choice).to_have_attribute("aria-pressed", "true")
    expect(found).to_have_text(f"{few['count']} found")
    expect(page).to_have_url(re.compile(f"colour_name={few['value']}"))

    page.reload()
    panel.get_by_label("Filter by a column of the list").select_option("title")
    title = panel.get_by_role("button", name=re.compile(r"^Picture \d+ 1$")).first
    title.click()
    expect(found).to_have_text("1 found")
    choice.click()
    expect(choice).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text(f"{SHOWN} assets")).to_be_visible()

    page.set_viewport_size({"width": 390, "height": 844})
    expect(panel).to_be_hidden()
    page.get_by_role("button", name="Filters").click()
    drawer = page.get_by_role("dialog", name="Filters")
    drawer.get_by_role("button", name=re.compile(f"^{few['value']} ", re.IGNORECASE)).click()
    expect(page).to_have_url(re.compile(f"colour_name={few['value']}"))
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(found).to_be_visible()


def test_search_by_words_by_a_picture_and_by_more_like_this(
    dashboard: Dashboard, page: Page, wall: str
) -> None:
    page.goto("/search")
    brand = page.get_by_label("Brand", exact=True)
    brand.fill(wall[:3])
    expect(page.locator(f"datalist option[value={wall}]")).to_have_count(1)
    brand.fill(wall)
    brand.press("Tab")
    expect(page).to_have_url(f"/search?brand={wall}")
    page.get_by_label("What it shows", exact=True).fill("a balloon")
    page.keyboard.press("Enter")
    expect(page.locator("[data-found]")).to_be_visible()
    wanted = dashboard.get("/search", q="a balloon", brand=wall, limit=5)["items"]
    found = page.get_by_role("list", name="Found assets").locator("[data-asset]")
    expect(found.first).to_have_attribute("data-asset", wanted[0]["asset"]["id"])
    title = "Picture 41"
    chosen = FilePayload(name="a.png", mimeType="image/png", buffer=picture(20_041))
    page.get_by_label("A picture to search by").set_input_files(chosen)
    expect(page.get_by_alt_text("What you search by")).to_be_visible()
    expect(found.first.get_by_text("1.00")).to_be_visible()
    expect(found.first).to_contain_text(wall)
    pasted = found.first.get_attribute("data-asset")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Find a picture by what it shows")).to_be_visible()
    page.evaluate(PASTE, list(picture(20_041)))
    expect(page.get_by_alt_text("What you search by")).to_be_visible()
    expect(found.first).to_have_attribute("data-asset", pasted or "")
    found.first.click()
    drawer = page.get_by_role("dialog", name=title)
    expect(drawer).to_be_visible()
    drawer.get_by_role("link", name="More like this").click()
    expect(page).to_have_url(re.compile("asset="))
    expect(page.locator("[data-found]")).to_be_visible()
    expect(found.get_by_role("img", name=title)).to_have_count(0)


def test_a_lasso_on_the_map_chooses_what_lies_in_it(
    dashboard: Dashboard, page: Page, wall: str
) -> None:
    page.goto(f"/brands/{wall}/map")
    board = page.get_by_role("application", name=re.compile(f"Map of {SHOWN} assets"))
    expect(board.locator("img").first).to_be_visible()
    box = board.bounding_box()
    assert box is not None
    left, top, right, bottom = (
        box["x"] + 2,
        box["y"] + 2,
        box["x"] + box["width"] - 80,
        box["y"] + box["height"] - 4,
    )
    page.get_by_role("button", name=re.compile("Draw around")).click()
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    expect(page.locator("[data-chosen]")).to_have_attribute("data-chosen", str(SHOWN))
    page.get_by_role("button", name="Clear selection").click()
    page.evaluate("() => scrollTo(0, 0)")
    middle = left + (right - left) / 2
    page.mouse.move(left, top)
    page.keyboard.down("Shift")
    page.mouse.down()
    for x, y in ((middle, top), (middle, bottom), (left, bottom)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    some = int(page.locator("[data-chosen]").get_attribute("data-chosen") or 0)
    assert 0 < some < SHOWN
    chosen = page.get_by_role("list", name="Selected assets")
    expect(chosen).to_have_attribute("data-loaded", str(some))
    scale = float(board.get_attribute("data-scale") or 0)
    board.focus()
    page.keyboard.press("+")
    assert float(board.get_attribute("data-scale") or 0) > scale


def test_groups_clusters_look_and_snapshots_are_shown(
    dashboard: Dashboard, page: Page, wall: str
) -> None:
    found = {item["kind"]: item for item in dashboard.get(f"/brands/{wall}/insights")["items"]}
    page.goto(f"/brands/{wall}/clusters")
    clusters = found["clusters"]["result"]["clusters"]
    expect(page.locator("main ul > li")).to_have_count(len(clusters))
    page.goto(f"/brands/{wall}/duplicates")
    groups = found["duplicates"]["result"]["groups"]
    expect(page.locator("main ul > li, main h2")).to_have_count(max(1, len(groups)))
    page.goto(f"/brands/{wall}/look")
    for colour in found["look"]["result"]["palette"]:
        expect(page.get_by_text(colour["colour"])).to_be_visible()
    page.goto(f"/brands/{wall}/snapshots")
    expect(page.get_by_text("current")).to_be_visible()
    page.goto(f"/brands/{wall}/compare?with={wall}")
    expect(page.get_by_text("1.000").first).to_be_visible()


def test_an_older_snapshot_is_opened_compared_and_restored(
    dashboard: Dashboard, page: Page
) -> None:
    six = dashboard.brand("shelf", 6, start=30_000)["id"]
    dashboard.brand("shelf", 3, start=30_000)
    page.goto("/brands/shelf/snapshots")
    changes = page.get_by_role("region", name="Changes")
    expect(changes.get_by_role("button", name="3 removed")).to_be_visible()
    expect(changes.get_by_text("3 kept")).to_be_visible()
    expect(changes.locator("li")).to_have_count(3)
    changes.get_by_role("button", name="0 added").click()
    expect(changes.get_by_text("Nothing was added")).to_be_visible()
    changes.get_by_label("Compare to").select_option(six)
    changes.get_by_role("button", name="0 added").click()
    expect(changes.get_by_text("Nothing changed")).to_be_visible()

    page.get_by_role("link", name="6 assets").click()
    expect(page).to_have_url(re.compile(f"/brands/shelf\\?snapshot={six}"))
    expect(page.get_by_text("older snapshot")).to_be_visible()
    gallery = page.get_by_role("list", name="Assets of shelf")
    expect(gallery).to_have_attribute("data-loaded", "6")
    expect(page.get_by_label("Tag")).to_have_count(0)
    gallery.locator("[data-place='5']").click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("SHA-256")
    expect(drawer).to_contain_text("known of the current snapshot only")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Show the current snapshot").click()
    expect(gallery).to_have_attribute("data-loaded", "3")

    page.goto("/brands/shelf/snapshots")
    page.get_by_role("button", name="Restore").click()
    asks = page.get_by_role("dialog")
    expect(asks).to_contain_text("3 assets will come back")
    expect(asks).to_contain_text("0 will be removed, 3 stay as they are")
    asks.get_by_role("button", name="Restore it").click()
    expect(page.get_by_text("restores an older snapshot")).to_be_visible()
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    expect(page.locator("[data-commit='added']")).to_have_text("3")
    page.goto("/brands/shelf/snapshots")
    expect(page.get_by_text("restored", exact=True)).to_be_visible()
    page.goto("/brands/shelf")
    expect(gallery).to_have_attribute("data-loaded", "6")


def test_g7_an_export_is_made_followed_to_its_end_and_fetched(
    page: Page, wall: str, log: PageLog
) -> None:
    page.goto(f"/brands/{wall}/exports")
    expect(page.get_by_text("None yet")).to_be_visible()
    asked = len(log.requests)
    page.locator("li", has_text="CSV").get_by_role("button", name="Export").click()
    made = page.locator("[data-export]").first
    file = made.get_by_role("button", name=re.compile(r"\.csv"))
    expect(file).to_be_visible()
    told = page.get_by_role("status").filter(has_text=f"{wall} is exported as csv")
    expect(told).to_be_visible()
    assert log.requests[asked:] == [f"POST /api/v1/brands/{wall}/exports"]
    with page.expect_download() as download:
        file.click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == SHOWN + 1


def test_a_journey_by_keyboard_alone(dashboard: Dashboard, page: Page, wall: str) -> None:
    page.goto("/")
    expect(page.locator("[data-link=live]")).to_be_visible()
    expect(page.locator("[data-brand=wall]")).to_be_visible()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(keys).to_contain_text("Start a brand")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    dialog = page.get_by_role("dialog", name="Start a brand")
    expect(dialog.get_by_label("Or paste it")).to_be_focused()
    page.keyboard.type(dashboard.origin.source(8, start=30_000))
    page.keyboard.press("Control+Enter")
    expect(dialog.locator("[data-rows]")).to_contain_text("8 pictures")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent.trim()") == "Go on":
            break
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Brand", exact=True)).to_be_focused()
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator("[data-standing]")).to_have_text("Committed")
    page.keyboard.press("g")
    page.keyboard.press("b")
    expect(page.locator("[data-brand='by keyboard']")).to_contain_text("8 assets")
    page.keyboard.press("/")
    page.keyboard.type(wall)
    expect(page.locator("[data-brand]")).to_have_count(1)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent.trim()") == wall:
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/brands/{wall}")
    gallery = page.get_by_role("list", name=f"Assets of {wall}")
    expect(gallery).to_have_attribute("data-loaded", str(SHOWN))
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent") == "Skip the filters":
            break
    page.keyboard.press("Enter")
    expect(gallery.locator("[data-place='0']")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    reached = page.evaluate("() => document.activeElement.dataset.asset")
    assert reached
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("SHA-256")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.locator(f"[data-asset='{reached}']")).to_be_focused()
