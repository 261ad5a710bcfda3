"""A web site for tests: what each path answers, and what was asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.Request], web.StreamResponse]


class Site:
    """Answers by path and query."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[web.Request] = []
        self.otherwise: Answer = lambda _: web.Response(status=404, text="There is nothing here.")
        """What the paths answer that have no answer of their own."""

    def url(self, path: str = "/") -> str:
        """Return the URL of a path."""
        return f"{self.base}{path}"

    def has(self, path: str, *answers: Answer) -> None:
        """Let a path, with its query, give these answers, one a request; the last one for ever."""
        self.answers[path] = list(answers)

    @property
    def asked(self) -> list[str]:
        """The paths that were requested, with their queries, in order."""
        return [request.raw_path for request in self.requests]

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        self.requests.append(request)
        answers = self.answers.get(request.raw_path)
        if answers is None:
            return self.otherwise(request)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(request)


def says(
    body: str | bytes, kind: str = "text/html", *, status: int = 200, **headers: str
) -> Answer:
    """Return an answer with a body; ``_`` in the names of headers stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body.encode() if isinstance(body, str) else body
    return lambda _: web.Response(
        body=content, status=status, headers={"Content-Type": kind, **named}
    )


def xml(body: str | bytes) -> Answer:
    """Return an XML document as an answer."""
    return says(body, "application/xml")


def leads_to(target: str, status: int = 302) -> Answer:
    """Return a redirect."""
    return lambda _: web.Response(status=status, headers={"Location": target})


def fails(status: int, **headers: str) -> Answer:
    """Return an answer without a body worth reading."""
    return says("no", "text/plain", status=status, **headers)


@asynccontextmanager
async def site(answers: Mapping[str, Answer] | None = None) -> AsyncIterator[Site]:
    """Serve a site at a port of this machine."""
    served = Site("")
    for path, answer in (answers or {}).items():
        served.has(path, answer)
    app = web.Application()
    app.router.add_get("/{any:.*}", served.get)
    async with serving(app) as served.base:
        yield served


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an application at a port of this machine; yield its origin."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
