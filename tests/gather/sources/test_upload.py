"""The source ``upload``: its place, and what becomes of a file that is gone, damaged or away."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from triptych.errors import (
    BadInput,
    BodyTooLarge,
    SourceRefused,
    SourceUnavailable,
    StoreUnavailable,
)
from triptych.gather.list_source import split_place
from triptych.gather.source import Page
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.sources.upload import UploadSource
from triptych.objects import ObjectStore, open_store
from triptych.testing.memory_stores import memory_stores
from triptych.uploads.upload_files import (
    NAME_MAX_CHARS,
    ORPHAN_S,
    PREFIX,
    UPLOAD_S,
    UploadFiles,
    clean_name,
)
from triptych.uploads.upload_store import NewUpload, UploadStore, source_of, upload_of

pytestmark = pytest.mark.integration

MAX_BYTES = 10_000
LIST = b"sku,Photo\n1,https://x.example/1.png\n2,https://x.example/2.png\n"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store((tmp_path / "objects").as_uri(), tmp_path)


@pytest.fixture
def rows() -> UploadStore:
    return memory_stores().uploads


@pytest.fixture
def files(rows: UploadStore, store: ObjectStore) -> UploadFiles:
    return UploadFiles(rows, store, max_bytes=MAX_BYTES)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def uploaded(rows: UploadStore, files: UploadFiles, body: bytes, name: str) -> NewUpload:
    got = await files.receive(chunks(body[:7], body[7:]))
    assert (got.size_bytes, got.sha256) == (len(body), hashlib.sha256(body).digest())
    return await rows.put_upload(
        NewUpload(uuid4(), got.object_key, name, got.size_bytes, got.sha256, "local")
    )


async def read(files: UploadFiles | None, upload: UUID, options: str, rows: int) -> list[Page]:
    _, choice = split_place(f"{upload}{options}")
    source = UploadSource(upload, files, choice, page_rows=rows)
    return [page async for page in source.pages("nike", None)]


async def test_it_is_read_page_by_page_with_a_lists_options(
    rows: UploadStore, files: UploadFiles
) -> None:
    made = await uploaded(rows, files, gzip.compress(LIST), "shoes.csv.gz")
    first, second = await read(files, made.id, "#url-column=Photo&key=sku", rows=1)
    assert [(row.url, row.identity) for row in [*first.rows, *second.rows]] == [
        ("https://x.example/1.png", "1"),
        ("https://x.example/2.png", "2"),
    ]
    (found,) = first.lists
    assert (found.name, found.url_columns, found.samples) == ("shoes.csv.gz", ["Photo"], {})
    before = await rows.upload(made.id)
    await read(files, made.id, "", rows=9)
    assert (await rows.upload(made.id)).used_at > before.used_at


async def test_what_is_gone_or_damaged_says_how_to_upload_again(
    rows: UploadStore, files: UploadFiles, store: ObjectStore
) -> None:
    unknown = uuid4()
    with pytest.raises(SourceRefused, match=rf"no upload {unknown}.*Upload the file again"):
        await read(files, unknown, "", rows=9)
    with pytest.raises(SourceRefused, match=r"this process does not ask one.*--server"):
        await read(None, unknown, "", rows=9)
    damaged = await uploaded(rows, files, LIST, "a.csv")
    file = store.open_file(damaged.object_key)
    file.write(LIST[::-1])
    file.close()
    with pytest.raises(SourceRefused, match=r"\(a.csv\) are gone or damaged. Upload the file"):
        await read(files, damaged.id, "", rows=9)
    await store.delete([damaged.object_key])
    with pytest.raises(SourceRefused, match="gone or damaged"):
        await read(files, damaged.id, "", rows=9)


async def test_a_store_that_is_away_is_tried_again(
    rows: UploadStore, files: UploadFiles, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await uploaded(rows, files, LIST, "a.csv")

    async def away(*_: object, **__: object) -> bytes:
        raise StoreUnavailable("It does not answer.")

    monkeypatch.setattr(store, "get_range", away)
    with pytest.raises(SourceUnavailable, match="does not answer"):
        await read(files, made.id, "", rows=9)


async def test_limits_leave_no_object(files: UploadFiles, store: ObjectStore) -> None:
    with pytest.raises(BodyTooLarge, match=f"{MAX_BYTES} bytes.*TRIPTYCH_UPLOAD_MAX_BYTES"):
        await files.receive(chunks(bytes(MAX_BYTES), b"."))
    with pytest.raises(BadInput, match="empty"):
        await files.receive(chunks())
    with pytest.raises(BodyTooLarge):
        files.check_size(str(MAX_BYTES + 1))
    files.check_size(str(MAX_BYTES))
    files.check_size(None)
    assert await store.list_under(PREFIX) == {}
    assert ORPHAN_S > UPLOAD_S, "an object of an upload under way is not taken for left behind"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("shoes.xlsx", "shoes.xlsx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\My lists\\a b.csv", "a b.csv"),
        ("a\x00\n\u202eb.csv", "ab.csv"),
        ("..", "list"),
        (" \x07", "list"),
        (f"{'a' * 300}.csv", f"{'a' * (NAME_MAX_CHARS - 4)}.csv"),
        ("a" * 300, "a" * NAME_MAX_CHARS),
    ],
    ids=["plain", "path", "windows", "controls", "dots", "nothing", "long", "long-without-ending"],
)
def test_names_are_for_people_only(given: str, kept: str) -> None:
    assert clean_name(given) == kept


def test_an_id_is_written_in_one_way() -> None:
    upload = uuid4()
    registry = SourceRegistry.discover()
    named = registry.check(f"{source_of(upload)}#url-column=Photo")
    assert (named.place.text, named.anybody) == (str(upload), True)
    assert upload_of(f"{source_of(upload)}#url-column=Photo") == upload
    for wrong in (str(upload).upper(), upload.hex, f"{upload}/", f"{upload}#colour=red", "a.csv"):
        with pytest.raises(BadInput, match=r"id of an upload|no option colour"):
            registry.check(f"upload:{wrong}")
    assert upload_of(f"manifest:{upload}") is None
