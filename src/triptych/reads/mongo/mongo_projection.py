"""`Projection` on MongoDB, or on what speaks its protocol.

Five collections. ``assets`` has a document for each asset of an edition, ``parts`` what an edition
has besides, cut into pieces; nobody reads them before the document of the brand in ``brands`` names
the edition. ``editions`` names each edition of which something may be there, so that what was begun
and given up is found and deleted. ``meta`` has the id of this database.

There are no transactions. Before an edition's documents are deleted it is *doomed* in ``editions``;
one that is doomed is not written to and not shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError
from typing_extensions import override

from triptych.errors import ReadsUnavailable
from triptych.model import KEY_BYTES
from triptych.reads.edition import BrandRow, Edition, EditionAsset, EditionWhole
from triptych.reads.mongo.brand_documents import (
    INSIGHTS,
    MAP,
    Visible,
    brand_fields,
    edition_fields,
    encode_insights,
    read_edition,
    read_visible,
    visible_field,
)
from triptych.reads.mongo.connection import MongoConnection, query_ms
from triptych.reads.mongo.documents import (
    KEYS,
    Document,
    asset_documents,
    part_documents,
)
from triptych.reads.projection import Lowers, Projection

LAYOUT = 1
"""Of the documents. A database with another one gets a new id, so that all is written again."""
WRITE_BYTES = 8 * 1024 * 1024
"""Documents of one request, about."""
COUNT_AT_ONCE = 250_000
"""Documents that one query counts, about."""
DELETE_AT_ONCE = 5_000
"""Documents of one deletion."""
DELETES_AT_ONCE = 10
"""Deletions of one call of `drop_older`, so that its lease does not end meanwhile."""
CHANGE_TRIES = 10
"""Times that a brand's document is read again because others changed it."""
EXISTS_ALREADY = 11000
"""The server's code for a document whose id is there."""
META = "meta"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Budget:
    deletions: int
    """Requests that may still be sent, each of at most `DELETE_AT_ONCE` documents."""


class MongoProjection(Projection):
    """`Projection` on MongoDB."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection
        self._indexed: UUID | None = None

    def _of(self, name: str) -> AsyncCollection[Document]:
        return self._connection.collection(name)

    @override
    async def open(self, lowers: Lowers) -> UUID:
        async with self._connection.writing():
            wanted = {"lowers": lowers, "layout": LAYOUT}
            meta = await self._of(META).find_one({"_id": META}, max_time_ms=query_ms())
            if meta is None:
                meta = await self._new_meta(wanted)
            if any(meta[name] != value for name, value in wanted.items()):
                # What was written has other texts in lower case, or another layout.
                await self._of(META).update_one(
                    {"_id": META, "id": meta["id"]}, {"$set": {"id": uuid4(), **wanted}}
                )
                meta = await self._read_meta()
            target: UUID = meta["id"]
            if target != self._indexed:
                await self._make_indexes()
                self._indexed = target
            return target

    async def _new_meta(self, wanted: Document) -> Document:
        try:
            await self._of(META).update_one(
                {"_id": META}, {"$setOnInsert": {"id": uuid4(), **wanted}}, upsert=True
            )
        except DuplicateKeyError:
            log.info("projection_opened_by_another")
        return await self._read_meta()

    async def _read_meta(self) -> Document:
        found = await self._of(META).find_one({"_id": META}, max_time_ms=query_ms())
        if found is None:
            raise ReadsUnavailable("MongoDB was emptied just now.", remedy="It is tried again.")
        return found

    async def _make_indexes(self) -> None:
        key = [("edition", ASCENDING), ("key", ASCENDING)]
        await self._of("assets").create_index(key, unique=True)
        await self._of("parts").create_index([("edition", ASCENDING)])
        await self._of("editions").create_index([("brand", ASCENDING)])
        await self._of("brands").create_index([("visible.run", ASCENDING)])

    @override
    async def write(self, brand: str, edition: Edition, assets: Sequence[EditionAsset]) -> None:
        async with self._connection.writing():
            await self._begin(brand, edition)
            async for documents, parts in _batches(brand, edition, assets):
                # The parts first: a document that names them is never there without them.
                await _put(self._of("parts"), parts)
                await _put(self._of("assets"), documents)

    async def _begin(self, brand: str, edition: Edition) -> None:
        """Name an edition, before something of it is there.

        Raises:
            ReadsUnavailable: what there is of it is being deleted.
        """
        try:
            await self._of("editions").update_one(
                {"_id": edition.name, "doomed": {"$ne": True}},
                {"$setOnInsert": {"brand": brand, **edition_fields(edition)}},
                upsert=True,
            )
        except DuplicateKeyError:
            await self._delete(edition.name, _Budget(DELETES_AT_ONCE))
            raise ReadsUnavailable(
                f"What MongoDB had of brand {brand!r} is being deleted.",
                remedy="It is written again after that.",
            ) from None

    @override
    async def complete(self, brand: str, edition: Edition, whole: EditionWhole) -> None:
        async with self._connection.writing():
            await self._begin(brand, edition)
            parts = part_documents(edition, INSIGHTS, encode_insights(whole))
            if whole.map is not None:
                parts += part_documents(edition, MAP, whole.map)
            for part in parts:
                await _put(self._of("parts"), [part])

    @override
    async def show(self, brand: str, edition: Edition, whole: EditionWhole, row: BrandRow) -> bool:
        async with self._connection.writing():
            for _ in range(CHANGE_TRIES):
                there = await self._brand(brand)
                seen = None if there is None else read_visible(there)
                if seen is not None and seen.edition >= edition:
                    return False
                if not await self._is_there(brand, edition, whole):
                    return False
                token = uuid4().hex
                field = visible_field(edition, whole, token, await self._now())
                if await self._change(brand, there, seen, field, row):
                    return await self._stays(brand, edition, token)
        raise ReadsUnavailable(
            f"The document of brand {brand!r} is changed by others all the time.",
            remedy="It is tried again.",
        )

    async def _is_there(self, brand: str, edition: Edition, whole: EditionWhole) -> bool:
        """Return whether all of an edition is there.

        It may not be: somebody may have deleted it, or restored the database to an earlier moment.
        """
        if not await self._is_kept(edition):
            return False
        assets = await self._count(edition, whole.assets)
        if assets != whole.assets:
            log.warning("edition_incomplete", brand=brand, there=assets, assets=whole.assets)
        return assets == whole.assets

    async def _count(self, edition: Edition, about: int) -> int:
        """Count an edition's assets, in ranges of keys that are short enough for one query each."""
        ranges = -(-about // COUNT_AT_ONCE) or 1
        ends = [(KEYS * at // ranges).to_bytes(KEY_BYTES, "big").hex() for at in range(1, ranges)]
        found = 0
        for low, high in zip(["", *ends], [*ends, None], strict=True):
            between = {"$gte": low} if high is None else {"$gte": low, "$lt": high}
            found += await self._of("assets").count_documents(
                {"edition": edition.name, "key": between}, maxTimeMS=query_ms()
            )
        return found

    async def _is_kept(self, edition: Edition) -> bool:
        entry = await self._of("editions").find_one({"_id": edition.name}, max_time_ms=query_ms())
        return entry is not None and not entry.get("doomed")

    async def _change(
        self,
        brand: str,
        there: Document | None,
        seen: Visible | None,
        field: Document,
        row: BrandRow,
    ) -> bool:
        """Show an edition by one update; False if the document is not as it was read."""
        if there is None:
            new = {"_id": brand, **brand_fields(row), "visible": field, "previous": []}
            try:
                await self._of("brands").insert_one(new)
            except DuplicateKeyError:
                return False
            return True
        change: Document = {"$set": {"visible": field}}
        if row.shown.version >= there["version"]:
            change["$set"] |= brand_fields(row)
        as_read: Document = {"_id": brand, "version": there["version"]}
        if seen is None:
            as_read["visible"] = None
        else:
            as_read["visible.token"] = seen.token
            before = {"edition": seen.edition.name, "token": seen.token, "since": field["at"]}
            change["$push"] = {"previous": before}
        return (await self._of("brands").update_one(as_read, change)).matched_count == 1

    async def _stays(self, brand: str, edition: Edition, token: str) -> bool:
        """Hide an edition again if somebody began to delete it when it was shown."""
        if await self._is_kept(edition):
            return True
        await self._of("brands").delete_one({"_id": brand, "visible.token": token})
        return False

    async def _brand(self, brand: str) -> Document | None:
        return await self._of("brands").find_one(
            {"_id": brand}, {"visible": 1, "previous": 1, "version": 1}, max_time_ms=query_ms()
        )

    async def _now(self) -> datetime:
        """Return the server's time: the clocks of workers may differ."""
        database = self._connection.database
        hello = await database.command("hello", codec_options=database.codec_options)
        at: datetime = hello["localTime"]
        return at

    @override
    async def put_brands(self, rows: Sequence[BrandRow]) -> None:
        async with self._connection.writing():
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                await self._put_brands(rows[start : start + _ROWS_AT_ONCE])

    async def _put_brands(self, rows: Sequence[BrandRow]) -> None:
        brands = self._of("brands")
        try:
            await brands.bulk_write([_put_row(row, upsert=True) for row in rows], ordered=False)
        except BulkWriteError as error:
            # It is newer there, or another process has just made it: that is for the version.
            again = [_put_row(rows[at], upsert=False) for at in _collided(error)]
            await brands.bulk_write(again, ordered=False)

    @override
    async def drop_older(self, brand: str, *, keep: Sequence[Edition], grace_s: float) -> bool:
        async with self._connection.writing():
            there = await self._brand(brand)
            visible = None if there is None else read_visible(there)
            if there is None or visible is None:
                return False
            until = await self._now() - timedelta(seconds=grace_s)
            read_yet = {
                each["edition"] for each in there.get("previous", ()) if each["since"] > until
            }
            kept = {edition.name for edition in keep} | {visible.edition.name} | read_yet
            # First, so that a reader of one finds out that it may have lost something.
            await self._of("brands").update_one(
                {"_id": brand}, {"$pull": {"previous": {"since": {"$lte": until}}}}
            )
            budget = _Budget(DELETES_AT_ONCE)
            for entry in await self._of("editions").find({"brand": brand}).to_list():
                if entry["_id"] in kept or read_edition(entry) > visible.edition:
                    continue
                await self._doom({"_id": entry["_id"]})
                if not await self._delete(entry["_id"], budget):
                    return True
            return bool(read_yet)

    @override
    async def forget(self, brand: str) -> None:
        brands = self._of("brands")
        async with self._connection.writing():
            await brands.delete_one({"_id": brand})
            await self._doom({"brand": brand})
            # Again: it may have been shown before its editions were doomed. Afterwards it is not.
            await brands.delete_one({"_id": brand})
            entries = await self._of("editions").find({"brand": brand}).to_list()
        for entry in entries:
            gone = False
            while not gone:  # Each round deletes some, and has a deadline of its own.
                async with self._connection.writing():
                    gone = await self._delete(entry["_id"], _Budget(1))

    async def _doom(self, which: Document) -> None:
        await self._of("editions").update_many(which, {"$set": {"doomed": True}})

    async def _delete(self, edition: str, budget: _Budget) -> bool:
        """Delete an edition that is doomed; False if the budget was used up before its end."""
        for collection, key in (("assets", "key"), ("parts", "_id")):
            documents = self._of(collection)
            own = {"edition": edition}
            while (
                some := await documents.find(own, {key: 1}, max_time_ms=query_ms())
                .sort(key, ASCENDING)
                .limit(DELETE_AT_ONCE)
                .to_list()
            ):
                if budget.deletions <= 0:
                    return False
                budget.deletions -= 1
                await documents.delete_many({**own, key: {"$lte": some[-1][key]}})
        await self._of("editions").delete_one({"_id": edition, "doomed": True})
        return True

    @override
    async def shown(self) -> Mapping[str, Edition]:
        async with self._connection.reading():
            found = {}
            async for document in self._of("brands").find({}, {"visible": 1}):
                if (visible := read_visible(document)) is not None:
                    found[visible.brand] = visible.edition
            return found

    @override
    async def close(self) -> None:
        await self._connection.close()


_ROWS_AT_ONCE = 20
"""Brands of one request: each may have the texts of 200 runs."""


def _put_row(row: BrandRow, *, upsert: bool) -> UpdateOne:
    return UpdateOne(
        {"_id": row.shown.name, "version": {"$lte": row.shown.version}},
        {"$set": brand_fields(row)},
        upsert=upsert,
    )


async def _batches(
    brand: str, edition: Edition, assets: Sequence[EditionAsset]
) -> AsyncIterator[tuple[list[RawBSONDocument], list[Document]]]:
    """Yield assets as documents, about `WRITE_BYTES` of them at a time."""
    start = 0
    while start < len(assets):
        documents, parts, start = await asyncio.to_thread(_batch, brand, edition, assets, start)
        yield documents, parts


def _batch(
    brand: str, edition: Edition, assets: Sequence[EditionAsset], start: int
) -> tuple[list[RawBSONDocument], list[Document], int]:
    documents: list[RawBSONDocument] = []
    parts: list[Document] = []
    size = 0
    while start < len(assets) and size < WRITE_BYTES:
        made = asset_documents(brand, edition, assets[start])
        documents.append(made.document)
        parts += made.parts
        size += made.size_bytes + sum(len(part["data"]) for part in made.parts)
        start += 1
    return documents, parts, start


async def _put(collection: AsyncCollection[Document], documents: Sequence[Any]) -> None:
    """Write documents, some of which may be there: those are replaced."""
    if not documents:
        return
    try:
        await collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        again: list[ReplaceOne[Any]] = [
            ReplaceOne({"_id": documents[at]["_id"]}, documents[at], upsert=True)
            for at in _collided(error)
        ]
        await collection.bulk_write(again, ordered=False)


def _collided(error: BulkWriteError) -> list[int]:
    """Return the places of the documents that were there; raise the error if there was another."""
    details = error.details or {}
    errors = details.get("writeErrors", [])
    if details.get("writeConcernErrors") or any(each["code"] != EXISTS_ALREADY for each in errors):
        raise error
    return [each["index"] for each in errors]
