"""What every store of uploads has to do."""

from __future__ import annotations

import hashlib
from typing import Protocol
from uuid import UUID, uuid4

import pytest

from triptych.errors import Conflict
from triptych.model import Policy, RunKind
from triptych.runs.brand_store import BrandStore
from triptych.runs.run_store import RunStore
from triptych.uploads.upload_store import NewUpload, UploadNotFound, UploadStore, source_of

POLICY = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600, max_removed=1.0)


class Stores(Protocol):
    """The stores that uploads meet in."""

    @property
    def uploads(self) -> UploadStore: ...

    @property
    def brands(self) -> BrandStore: ...

    @property
    def runs(self) -> RunStore: ...


def new_upload(by: str = "local") -> NewUpload:
    return NewUpload(uuid4(), f"uploads/{uuid4()}", "a.csv", 3, hashlib.sha256(b"abc").digest(), by)


async def start(stores: Stores, brand: str, source: str) -> UUID:
    run_id = uuid4()
    await stores.runs.open_run(
        brand,
        run_id=run_id,
        kind=RunKind.FULL,
        source=source,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    return run_id


class UploadsContract:
    """Subclasses give the fixture ``stores``."""

    async def test_an_upload_is_put_once_and_read(self, stores: Stores) -> None:
        new = new_upload()
        put = await stores.uploads.put_upload(new)
        again = await stores.uploads.put_upload(
            NewUpload(new.id, "uploads/other", "b.csv", 4, bytes(32), "key:other")
        )
        assert put == again == await stores.uploads.upload(new.id)
        assert (put.object_key, put.name, put.size_bytes) == (new.object_key, "a.csv", 3)
        assert (put.sha256, put.uploaded_by, put.brands) == (new.sha256, "local", ())
        for work in (
            stores.uploads.upload,
            stores.uploads.use_upload,
            stores.uploads.remove_upload,
        ):
            with pytest.raises(UploadNotFound, match="Upload the file again"):
                await work(uuid4())

    async def test_pages_are_newest_first_and_of_one_identity(self, stores: Stores) -> None:
        made = [(await stores.uploads.put_upload(new_upload(by))).id for by in ("a", "b", "a")]
        first = await stores.uploads.uploads(uploaded_by=None, before=None, limit=2)
        rest = await stores.uploads.uploads(uploaded_by=None, before=first.next, limit=2)
        assert [each.id for each in [*first.rows, *rest.rows]] == made[::-1]
        assert (first.next is not None, rest.next) == (True, None)
        own = await stores.uploads.uploads(uploaded_by="a", before=None, limit=2)
        assert ([each.id for each in own.rows], own.next) == ([made[2], made[0]], None)

    async def test_what_a_brand_uses_is_kept(self, stores: Stores) -> None:
        upload = await stores.uploads.put_upload(new_upload())
        other = await stores.uploads.put_upload(new_upload())
        runs = [
            await start(stores, "zoe", f"{source_of(upload.id)}#key=sku"),
            await start(stores, "adam", source_of(upload.id)),
        ]
        assert (await stores.uploads.upload(upload.id)).brands == ("adam", "zoe")
        (page,) = [
            each
            for each in (await stores.uploads.uploads(uploaded_by=None, before=None, limit=9)).rows
            if each.id == upload.id
        ]
        assert page.brands == ("adam", "zoe")
        with pytest.raises(Conflict, match="source of brand 'adam'"):
            await stores.uploads.remove_upload(upload.id)
        assert await stores.uploads.remove_unused(unused_s=0, limit=9) == [other.object_key]

        for brand in ("adam", "zoe"):
            await stores.brands.put_brand(
                brand, source="catalog:https://x.example", schedule=None, due_at=None
            )
        with pytest.raises(Conflict, match="active run of brand 'adam'"):
            await stores.uploads.remove_upload(upload.id)
        assert await stores.uploads.remove_unused(unused_s=0, limit=9) == []
        for run in runs:
            await stores.runs.cancel(run)
        removed = await stores.uploads.remove_upload(upload.id)
        assert (removed.object_key, removed.deletable) == (upload.object_key, True)

    async def test_unused_ones_are_removed_after_their_time(self, stores: Stores) -> None:
        first, second = [await stores.uploads.put_upload(new_upload()) for _ in range(2)]
        assert await stores.uploads.remove_unused(unused_s=3600, limit=9) == []
        used = await stores.uploads.use_upload(first.id)
        assert used.used_at > first.used_at
        assert await stores.uploads.remove_unused(unused_s=0, limit=1) == [second.object_key]
        assert await stores.uploads.remove_unused(unused_s=0, limit=1) == [first.object_key]

    async def test_objects_without_a_row_are_found(self, stores: Stores) -> None:
        kept = await stores.uploads.put_upload(new_upload())
        found = await stores.uploads.unnamed_objects([kept.object_key, "uploads/stray"])
        assert found == ["uploads/stray"]
