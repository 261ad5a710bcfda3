"""One server and one browser for all tests here; a page of its own for each, with its log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.browser_page import PAGE_PATIENCE_MS, WALL, PageLog, watched_page
from tests.support.dashboard import ARGUMENTS, ROOT, Dashboard, Loop, chromium, open_dashboard

expect.set_options(timeout=PAGE_PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on one worker: another would start all of it once more."""
    for item in items:
        if item.path.parent == ROOT / "tests" / "browser":
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with open_dashboard(tmp_path_factory.mktemp("browser") / "data") as opened:
        yield opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Browser, dashboard: Dashboard) -> Iterator[tuple[Page, PageLog]]:
    context = browser.new_context(
        base_url=dashboard.url, viewport={"width": 1280, "height": 860}, locale="en-GB"
    )
    page, log = watched_page(context)
    yield page, log
    context.close()
    assert log.unexpected() == []


@pytest.fixture
def page(opened: tuple[Page, PageLog]) -> Page:
    return opened[0]


@pytest.fixture
def log(opened: tuple[Page, PageLog]) -> PageLog:
    return opened[1]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def wall(dashboard: Dashboard) -> str:
    """A brand of pictures in families, which went through all three phases."""
    state = dashboard.brand("wall", WALL, missing=3, start=20_000)
    assert (state["state"], state["done"]) == ("committed", WALL - 3)
    return "wall"
