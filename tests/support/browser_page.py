"""A page of the browser, with a log of what it requested and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

WALL = 60
"""Pictures of the brand `wall`."""
PAGE_PATIENCE_MS = 45_000


@dataclass
class PageLog:
    """What a page asked for and complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of complaints that a test provokes."""

    def asked(self, request: Request) -> None:
        if request.resource_type != "websocket" and not request.url.startswith("blob:"):
            path = request.url.split("/", 3)[3]
            self.requests.append(f"{request.method} /{path}")

    def said(self, message: ConsoleMessage) -> None:
        # A browser notes each 404, and the page says that a picture has no preview.
        previewed = message.location.get("url", "").endswith("/sources/preview")
        if message.type in {"error", "warning"} and not previewed:
            self.complaints.append(f"{message.type}: {message.text}")

    def unexpected(self) -> list[str]:
        return [
            complaint
            for complaint in self.complaints
            if not any(part in complaint for part in self.expected)
        ]


def watched_page(context: BrowserContext) -> tuple[Page, PageLog]:
    """Open a page whose every request, error and breach of the policy is written down."""
    page = context.new_page()
    page.set_default_timeout(PAGE_PATIENCE_MS)
    log = PageLog()
    page.on("request", log.asked)
    page.on("console", log.said)
    page.on("pageerror", lambda error: log.complaints.append(f"thrown: {error}"))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', "
        "(event) => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
    )
    return page, log
