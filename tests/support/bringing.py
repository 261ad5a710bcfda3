"""Starting a brand as a person does, in the dialog of the page."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

PASTE = "Or paste it"


def opened(page: Page) -> Locator:
    """Open the dialog; return it."""
    page.get_by_role("button", name="Start a brand").first.click()
    dialog = page.get_by_role("dialog", name="Start a brand")
    expect(dialog.get_by_label(PASTE)).to_be_visible()
    return dialog


def pasted(page: Page, text: str, kind: str | None = None) -> Locator:
    """Open the dialog, paste a text or an address of a kind, and have it checked."""
    dialog = opened(page)
    dialog.get_by_label(PASTE).fill(text)
    if kind is not None:
        dialog.get_by_label("What it is").select_option(kind)
    dialog.get_by_role("button", name="Check it").click()
    return dialog


def named(dialog: Locator, brand: str) -> None:
    """Go on from the check, name the brand and start it."""
    dialog.get_by_role("button", name="Go on").click()
    dialog.get_by_label("Brand", exact=True).fill(brand)
    dialog.get_by_role("button", name="Start", exact=True).click()


def begin(page: Page, brand: str, source: str) -> None:
    """Start a brand from a list, and be on its run's page."""
    named(pasted(page, source.removeprefix("manifest:"), "manifest"), brand)
    page.wait_for_url("**/runs/*")
