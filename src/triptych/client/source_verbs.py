"""What a client does with sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from triptych.client.connection import Connection, Json
from triptych.gather.source_check import SourceCheck
from triptych.wire import Listing

if TYPE_CHECKING:
    # FastAPI is slow to import, and only one method needs it.
    from triptych.api.sources import SourceTypeShown


class SourceVerbs(Connection):
    """Sources of URLs: which types there are, and what one holds."""

    async def sources(self) -> Sequence[SourceTypeShown]:
        """Return the source types of the server, and the plug-ins that cannot be loaded."""
        from triptych.api.sources import SourceTypeShown

        return (await self._get("/sources", Listing[SourceTypeShown])).items

    async def check_source(self, source: str, *, brand: str | None = None) -> SourceCheck:
        """Return what a source is and what a run would take of it, without starting one."""
        return await self._check({"source": source}, brand)

    async def check_urls(
        self, urls: Sequence[str | Mapping[str, Any]], *, brand: str | None = None
    ) -> SourceCheck:
        """Return what a run would take of URLs, as `start` takes them, without starting one."""
        return await self._check({"urls": list(urls)}, brand)

    async def preview(self, url: str) -> bytes:
        """Return the picture at a URL as a small WebP, fetched once as a run would.

        Raises:
            ServerRefused: it cannot be fetched, or is no picture; says why.
        """
        headers = {"Content-Type": "application/json"}
        return await self._body(
            "POST", "/sources/preview", data=msgspec.json.encode({"url": url}), headers=headers
        )

    async def _check(self, body: Json, brand: str | None) -> SourceCheck:
        asked = body if brand is None else {**body, "brand": brand}
        return await self._ask("POST", "/sources/check", SourceCheck, body=asked)
