"""The dashboard: the files that `make setup` built, served alongside the API.

They contain no brand's data, so any client that may reach the server by its host name gets them
without a key: the page must load before a key can be entered. The requests that the page then
sends are authenticated like all others.
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
"""Where the build puts its files. They are not under version control."""
INDEX = "/index.html"
HASHED = "static"
"""In this folder a file's name contains the hash of its content, so the file never changes."""
PAGES = re.compile(r"/(|brands/[^/]+(/[a-z]+)?|runs(/[^/]+)?|search|system(/[a-z]+)?|api/docs)/?")
"""Paths that the dashboard renders. For any other path it shows its "not found" page."""
OTHERS = ("/api/", "/ws", "/healthz", "/readyz", "/metrics")
"""Prefixes that are never the dashboard's, except for its page with the API's description."""
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
"""Content-Security-Policy: only this server's scripts, styles and images, and nothing inline.

``blob:`` is for images that were requested with a key, which an ``img`` element cannot send.
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
"""Headers of every file."""


def policy(pictures_at: str | None = None) -> str:
    """Return `POLICY`, which lets pictures come from another origin, too.

    Those that are requested with a key are read by a script, and so need `connect-src`.
    """
    if pictures_at is None:
        return POLICY
    allowed = POLICY
    for directive in ("img-src 'self'", "connect-src 'self'"):
        allowed = allowed.replace(directive, f"{directive} {pictures_at}")
    return allowed


def is_page(path: str) -> bool:
    """Return whether the dashboard answers for a path."""
    return not path.startswith(OTHERS) or PAGES.fullmatch(path) is not None


class Dashboard(StaticFiles):
    """An ASGI app: the built files of a folder, and the page at each of the dashboard's paths."""

    def __init__(self, folder: Path = FOLDER, *, pictures_at: str | None = None) -> None:
        """``pictures_at`` is another origin that pictures may come from."""
        super().__init__(directory=folder, check_dir=False)
        self._headers = {**HEADERS, "Content-Security-Policy": policy(pictures_at)}
        self.config_checked = True  # A server without the dashboard reports it per request.

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
        response.headers.update(self._headers)
        if response.status_code != 304:
            # Not the machine's own table of types: browsers must not guess (nosniff).
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
        "The dashboard is read-only.",
        headers={"Allow": "GET, HEAD"},
    )


def _nothing(path: str) -> Response:
    return problem(404, "not-found", "Not Found.", f"There is nothing at {path!r}.")
