"""The dashboard: the files that `make setup` built, served beside the API.

Nothing of a brand is in them, so anybody who may reach the server by its name gets them, without a
key: the page has to be there before one can be typed into it. What it then asks for passes the
gate like any other request.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope
from typing_extensions import override

from triptych.api.http.problems import problem

FOLDER = Path(__file__).resolve().parents[1] / "dashboard"
"""Where the build puts its files. They are no part of the sources."""
INDEX = "/index.html"
HASHED = "static"
"""In this folder a file's name has the hash of its content, so it never changes."""
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
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every file."""


def is_page(path: str) -> bool:
    """Tell whether a path is the dashboard's to answer."""
    return not path.startswith(OTHERS) or PAGES.fullmatch(path) is not None


class Dashboard(StaticFiles):
    """An ASGI app: the built files of a folder, and the page at every address of its own."""

    def __init__(self, folder: Path = FOLDER) -> None:
        super().__init__(directory=folder, check_dir=False)
        self.config_checked = True  # A server without the dashboard says so when it is asked.

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        asked = scope["path"]
        if not is_page(asked):
            raise HTTPException(404)
        if scope["method"] not in {"GET", "HEAD"}:
            return _only_read()
        if PAGES.fullmatch(asked):
            return await self._page(scope)
        if PurePosixPath(asked).suffix in KINDS and asked != INDEX:
            try:
                return await super().get_response(path, scope)
            except HTTPException:
                return _nothing(asked)
        if "text/html" in Headers(scope=scope).get("accept", ""):
            return await self._page(scope, status=404)
        return _nothing(asked)

    @override
    def file_response(
        self,
        full_path: PathLike,
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        path = Path(full_path)
        response.headers["Cache-Control"] = FOR_EVER if path.parent.name == HASHED else ASK_AGAIN
        response.headers.update(HEADERS)
        if response.status_code != 304:
            # Not as the machine's own table of types has it: browsers are told not to guess.
            response.headers["Content-Type"] = KINDS[path.suffix]
        return response

    async def _page(self, scope: Scope, status: int = 200) -> Response:
        try:
            response = await super().get_response(INDEX.strip("/"), scope)
        except HTTPException:
            return problem(
                404,
                "dashboard-not-built",
                "The dashboard is not built.",
                "This server was installed without it; the API is at /api/v1.",
                remedy="Run `make setup` in the sources, then start the server again.",
            )
        if response.status_code == 200:
            response.status_code = status
        return response


def _only_read() -> Response:
    return problem(
        405,
        "method-not-allowed",
        "Method Not Allowed.",
        "The dashboard is only read.",
        headers={"Allow": "GET, HEAD"},
    )


def _nothing(path: str) -> Response:
    return problem(404, "not-found", "Not Found.", f"Nothing is at {path!r}.")
