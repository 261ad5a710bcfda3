"""One server and one browser for all tests here; a page of its own for each, with its log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.support.dashboard import ARGUMENTS, ROOT, Loop, Stage, chromium, open_stage

WALL = 60
PAGE_PATIENCE_MS = 45_000
expect.set_options(timeout=PAGE_PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on one worker: another would start all of it once more."""
    for item in items:
        if item.path.parent == ROOT / "tests" / "browser":
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("browser") / "data") as opened:
        yield opened


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield launched
        launched.close()


@dataclass
class Log:
    """What a page asked for and complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of complaints that a test provokes."""

    def asked(self, request: Request) -> None:
        if request.resource_type != "websocket" and not request.url.startswith("blob:"):
            path = request.url.split("/", 3)[3]
            self.requests.append(f"{request.method} /{path}")

    def unexpected(self) -> list[str]:
        return [
            complaint
            for complaint in self.complaints
            if not any(part in complaint for part in self.expected)
        ]


def watched(context: BrowserContext) -> tuple[Page, Log]:
    """Open a page whose every request, error and breach of the policy is written down."""
    page = context.new_page()
    page.set_default_timeout(PAGE_PATIENCE_MS)
    log = Log()
    page.on("request", log.asked)
    page.on(
        "console",
        lambda said: (
            log.complaints.append(f"{said.type}: {said.text}")
            if said.type in {"error", "warning"}
            else None
        ),
    )
    page.on("pageerror", lambda error: log.complaints.append(f"thrown: {error}"))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', "
        "(event) => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
    )
    return page, log


@pytest.fixture
def opened(browser: Browser, stage: Stage) -> Iterator[tuple[Page, Log]]:
    context = browser.new_context(
        base_url=stage.url, viewport={"width": 1280, "height": 860}, locale="en-GB"
    )
    page, log = watched(context)
    yield page, log
    context.close()
    assert log.unexpected() == []


@pytest.fixture
def page(opened: tuple[Page, Log]) -> Page:
    return opened[0]


@pytest.fixture
def log(opened: tuple[Page, Log]) -> Log:
    return opened[1]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def wall(stage: Stage) -> str:
    """A brand of pictures in families, which went through all three phases."""
    state = stage.brand("wall", WALL, missing=3, start=20_000)
    assert (state["state"], state["done"]) == ("committed", WALL - 3)
    return "wall"
