"""The collector deletes uploads that nobody uses, and objects of uploads that were never made."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.contracts.uploads_contract import new_upload, start
from tests.support.retention_rules import COLLECT_AT_ONCE
from triptych.database.session import Database
from triptych.objects import open_store
from triptych.uploads.upload_files import ORPHAN_S, PREFIX, UploadFiles
from triptych.uploads.upload_store import NewUpload, UploadNotFound, source_of
from triptych.wiring.stores import Stores, postgres_stores
from triptych.workers.collector import Collector

pytestmark = pytest.mark.integration


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    opened = postgres_stores(Database(migrated_dsn), run_cap_s=3600)
    yield opened
    await opened.close()


async def body() -> AsyncIterator[bytes]:
    yield b"url\nhttps://x.example/1.png\n"


async def test_what_is_used_stays_and_the_rest_goes(stores: Stores, tmp_path: Path) -> None:
    store = open_store((tmp_path / "objects").as_uri(), tmp_path)
    files = UploadFiles(stores.uploads, store, max_bytes=1000)

    async def upload() -> NewUpload:
        got = await files.receive(body())
        new = replace(
            new_upload(), object_key=got.object_key, size_bytes=got.size_bytes, sha256=got.sha256
        )
        return await stores.uploads.put_upload(new)

    used, unused = await upload(), await upload()
    await start(stores, "nike", source_of(used.id))
    young, old = await files.receive(body()), await files.receive(body())
    left_at = time.time() - ORPHAN_S - 60
    os.utime(tmp_path / "objects" / old.object_key, (left_at, left_at))

    rules = replace(COLLECT_AT_ONCE, uploads_s=0)
    await Collector(stores.retention, stores.tasks, stores.uploads, store, rules).collect_uploads()
    assert set(await store.list_under(PREFIX)) == {used.object_key, young.object_key}
    await stores.uploads.upload(used.id)
    with pytest.raises(UploadNotFound):
        await stores.uploads.upload(unused.id)
