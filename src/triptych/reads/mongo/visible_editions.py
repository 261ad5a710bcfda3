"""Which edition of a brand is read, and whether it still was when it had been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from triptych.reads.mongo.brand_documents import Visible, read_visible
from triptych.reads.mongo.connection import MongoConnection, query_ms
from triptych.reads.mongo.documents import (
    Document,
    asset_parts,
    part_id,
    read_exact,
)
from triptych.reads.projection import Lowers
from triptych.reads.read_stores import NotProjected

_SHOWN = {"visible": 1}


class VisibleEditions:
    """Looks editions up, and reads what they have in parts."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    async def of_run(self, run_id: UUID) -> Visible:
        """Return the edition of a run's snapshot.

        Raises:
            NotProjected: it is not the one of its brand that is read.
        """
        return await self._one({"visible.run": str(run_id)})

    async def of_brand(self, brand: str) -> Visible:
        """Return a brand's edition.

        Raises:
            NotProjected: it has none.
        """
        return await self._one({"_id": brand})

    async def _one(self, which: Document) -> Visible:
        brands = self._connection.collection("brands")
        found = await brands.find_one(which, _SHOWN, max_time_ms=query_ms())
        visible = None if found is None else read_visible(found)
        if visible is None:
            raise NotProjected
        return visible

    async def all(self, among: frozenset[str] | None) -> Sequence[Visible]:
        """Return the editions of all brands, or of those ``among``, by brand."""
        which: Document = {} if among is None else {"_id": {"$in": sorted(among)}}
        brands = self._connection.collection("brands")
        documents = brands.find(which, _SHOWN, max_time_ms=query_ms()).sort("_id", 1)
        found = [read_visible(document) async for document in documents]
        return [visible for visible in found if visible is not None]

    async def still(self, read: Sequence[Visible]) -> None:
        """Check that nothing was deleted of editions while they were read.

        An edition that is no longer shown stays for a while, and so does its token; a brand that is
        forgotten loses its document before anything else.

        Raises:
            NotProjected: something may have been.
        """
        tokens = {visible.token for visible in read}
        which = {"_id": {"$in": [visible.brand for visible in read]}}
        wanted = {"visible.token": 1, "previous.token": 1}
        brands = self._connection.collection("brands")
        async for document in brands.find(which, wanted, max_time_ms=query_ms()):
            tokens.discard(document.get("visible", {}).get("token"))
            tokens -= {each["token"] for each in document.get("previous", ())}
        if tokens:
            raise NotProjected

    async def lowers(self) -> Lowers:
        """Return what texts were written in lower case by.

        Raises:
            NotProjected: nothing was written yet.
        """
        meta = self._connection.collection("meta")
        found = await meta.find_one({"_id": "meta"}, max_time_ms=query_ms())
        if found is None:
            raise NotProjected
        lowers: Lowers = found["lowers"]
        return lowers

    async def part(self, visible: Visible, what: str, count: int) -> bytes:
        """Return what an edition has in so many parts.

        Raises:
            NotProjected: they are not all there.
        """
        ids = [part_id(visible.edition.name, what, number) for number in range(count)]
        found = await self._parts(ids)
        if len(found) < count:
            raise NotProjected
        return b"".join(found[each] for each in ids)

    async def exact(self, documents: Sequence[Mapping[str, Any]]) -> list[Document]:
        """Return for each document of an asset the fields whose exact text was kept.

        Raises:
            NotProjected: one is not there.
        """
        parts = [asset_parts(document) for document in documents]
        found = await self._parts([each for ids in parts for each in ids])
        if any(each not in found for ids in parts for each in ids):
            raise NotProjected
        return [
            read_exact(b"".join(found[each] for each in ids) if ids else document.get("exact"))
            for document, ids in zip(documents, parts, strict=True)
        ]

    async def _parts(self, ids: Sequence[str]) -> dict[str, bytes]:
        if not ids:
            return {}
        parts = self._connection.collection("parts")
        found = parts.find({"_id": {"$in": list(ids)}}, max_time_ms=query_ms())
        return {document["_id"]: document["data"] async for document in found}
