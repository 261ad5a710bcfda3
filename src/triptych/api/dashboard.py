"""The dashboard: the files that `make setup` built, served from memory beside the API.

Nothing of a brand is in them, so anybody who may reach the server by its name gets them, without a
key: the page has to be there before one can be typed into it. What it then asks for passes the
gate like any other request.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from triptych.api.http.problems import problem

FOLDER = Path(__file__).resolve().parents[1] / "dashboard"
"""Where the build puts its files. They are no part of the sources."""
INDEX = "/index.html"
HASHED = "/static/"
"""Below it a file's name has the hash of its content, so it never changes."""
PAGES = re.compile(r"/(|brands/[^/]+(/[a-z]+)?|runs/[^/]+|search|system(/[a-z]+)?|api/docs)/?")
"""Addresses of the dashboard's own; it draws them itself. Any other is its page for a wrong one."""
OTHERS = ("/api/", "/ws", "/healthz", "/readyz", "/metrics")
"""Not the dashboard's, even where nothing is; but for its page that draws the API's description."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types svelte-trusted-html",
    )
)
"""Content-Security-Policy: no script, style or picture but this server's, and nothing inline.

``blob:`` holds pictures that were asked for with a key, which an ``img`` cannot send.
"""
KINDS: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
PACKED = frozenset({".html", ".js", ".css", ".svg", ".json", ".webmanifest", ".txt"})
"""Kinds that compression makes smaller."""
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file, as it is sent."""

    body: bytes
    packed: bytes | None
    etag: str
    kind: str
    cache: str


def is_page(path: str) -> bool:
    """Tell whether a path is the dashboard's to answer."""
    return not path.startswith(OTHERS) or PAGES.fullmatch(path) is not None


class Dashboard:
    """An ASGI app that serves the built files of a folder.

    They are read once, when first asked for: a server that is built anew is started anew.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    @cached_property
    def _files(self) -> Mapping[str, BuiltFile]:
        found = (path for path in sorted(self._folder.rglob("*")) if path.suffix in KINDS)
        return {f"/{path.relative_to(self._folder).as_posix()}": _read(path) for path in found}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        if not is_page(scope["path"]):
            raise HTTPException(404)
        await self._answer(request)(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return problem(
                405,
                "method-not-allowed",
                "Method Not Allowed.",
                "The dashboard is only read.",
                headers={"Allow": "GET, HEAD"},
            )
        path = request.scope["path"]
        file = self._files.get(path)
        if file is not None and path != INDEX:
            return _send(request, file, 200)
        if PurePosixPath(path).suffix in KINDS and not PAGES.fullmatch(path):
            return _nothing(path)
        index = self._files.get(INDEX)
        if index is None:
            return problem(
                404,
                "dashboard-not-built",
                "The dashboard is not built.",
                "This server was installed without it; the API is at /api/v1.",
                remedy="Run `make setup` in the sources, then start the server again.",
            )
        if PAGES.fullmatch(path):
            return _send(request, index, 200)
        if "text/html" in request.headers.get("accept", ""):
            return _send(request, index, 404)
        return _nothing(path)


def _read(path: Path) -> BuiltFile:
    body = path.read_bytes()
    hashed = path.parent.name == HASHED.strip("/")
    return BuiltFile(
        body,
        gzip.compress(body, mtime=0) if path.suffix in PACKED else None,
        f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        KINDS[path.suffix],
        FOR_EVER if hashed else ASK_AGAIN,
    )


def _nothing(path: str) -> Response:
    return problem(404, "not-found", "Not Found.", f"Nothing is at {path!r}.")


def _send(request: Request, file: BuiltFile, status: int) -> Response:
    headers = {
        "Content-Type": file.kind,
        "Cache-Control": file.cache,
        "ETag": file.etag,
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Vary": "Accept-Encoding",
    }
    if status == 200 and request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    body = file.body
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = file.packed
        headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(body))
    return Response(body if request.method == "GET" else b"", status, headers)
