"""Every store keeps the same promise: content under its hash, once, whole."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from pathlib import Path

import pytest

from triptych.errors import ObjectMissing, SettingsError, StoreUnavailable
from triptych.media.signatures import DECODED
from triptych.objects import INLINE, ROOM_KEY, ObjectStore, object_key, open_store, presentation

BODY = b"content"
SHA256 = hashlib.sha256(BODY).digest()


@pytest.fixture(params=["file:", "memory:", pytest.param("s3:", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "s3:":
        return open_store(request.getfixturevalue("bucket"), tmp_path)
    return open_store(request.param, tmp_path / "objects")


async def test_what_is_put_is_there(store: ObjectStore) -> None:
    key = await store.put(BODY, SHA256, "image/png")
    assert key == object_key(SHA256) == f"sha256/ed/{SHA256.hex()}"
    assert await store.get(key) == BODY
    assert await store.exists(key)
    assert not await store.exists(object_key(bytes(32)))


async def test_g6_putting_again_changes_nothing(store: ObjectStore) -> None:
    key = await store.put(BODY, SHA256, "image/png")
    assert await store.put(BODY, SHA256, "image/png") == key
    assert await store.get(key) == BODY


async def test_g6_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    store = open_store("file:", tmp_path)
    path = tmp_path / await store.put(BODY, SHA256, "image/png")
    before = path.stat()
    await store.put(BODY, SHA256, "image/png")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("left", [b"", BODY[:3], BODY + b"more"])
async def test_g6_an_object_of_another_size_is_replaced(store: ObjectStore, left: bytes) -> None:
    """A power cut leaves empty files, a full disk cut ones."""
    key = object_key(SHA256)
    await store.put_as(key, left, "image/png")
    await store.put(BODY, SHA256, "image/png")
    assert await store.get(key) == BODY


async def test_g6_an_object_of_other_bytes_is_replaced_in_a_folder(tmp_path: Path) -> None:
    store = open_store("file:", tmp_path)
    path = tmp_path / await store.put(BODY, SHA256, "image/png")
    path.write_bytes(b"\0" * len(BODY))
    await store.put(BODY, SHA256, "image/png")
    assert path.read_bytes() == BODY


async def test_g6_what_is_flushed_is_told_apart_from_what_is_gone(store: ObjectStore) -> None:
    key, gone = await store.put(BODY, SHA256, "image/png"), object_key(bytes(32))
    assert await store.flush([key]) == await store.flush([]) == frozenset()
    if store._files is not None:
        assert await store.flush([key, gone]) == {gone}


async def test_objects_of_the_right_size_are_present(store: ObjectStore) -> None:
    key, gone = await store.put(BODY, SHA256, "image/png"), object_key(bytes(32))
    assert await store.present({key: len(BODY), gone: 1}) == {key}
    assert await store.present({key: len(BODY) + 1}) == await store.present({}) == frozenset()
    await store.check_present(key, len(BODY))
    with pytest.raises(ObjectMissing, match="Run its brand again"):
        await store.check_present(key, 0)


async def test_g6_many_at_once_leave_one_whole_object(store: ObjectStore) -> None:
    body = bytes(range(256)) * 4096
    digest = hashlib.sha256(body).digest()
    keys = await asyncio.gather(*(store.put(body, digest, "image/png") for _ in range(20)))
    assert len(set(keys)) == 1
    assert await store.get(keys[0]) == body


async def test_check_passes_twice(store: ObjectStore) -> None:
    await store.check()
    await store.check()


async def test_what_is_deleted_is_gone_and_gone_ones_are_no_error(store: ObjectStore) -> None:
    keys = [
        await store.put(body, hashlib.sha256(body).digest(), "image/png") for body in (b"a", b"b")
    ]
    await store.delete([object_key(bytes(32)), *keys])
    assert [await store.find(key) for key in keys] == [None, None]
    await store.delete(keys)


async def test_a_part_is_read(store: ObjectStore) -> None:
    key = await store.put(BODY, SHA256, "image/png")
    assert await store.get_range(key, 2, 5, size_bytes=len(BODY)) == BODY[2:5]
    for wrong in (object_key(bytes(32)), key):
        for start in (0, 2, 100):
            with pytest.raises(ObjectMissing):
                await store.get_range(wrong, start, start + 3, size_bytes=103)


async def test_a_part_of_an_empty_object_is_missing(store: ObjectStore) -> None:
    await store.put_as("empty", b"", "image/png")
    with pytest.raises(ObjectMissing):
        await store.get_range("empty", 0, 7, size_bytes=7)


async def test_room_is_checked_and_leaves_nothing(store: ObjectStore) -> None:
    await store.check_room(BODY)
    await store.check_room(BODY)
    assert not await store.exists(ROOM_KEY)


async def test_a_file_written_piece_by_piece_is_an_object(store: ObjectStore) -> None:
    written = store.open_file("exports/x/large")
    for _ in range(5):
        written.write(b"x" * 5_000_000)
    written.close()
    assert len(await store.get("exports/x/large")) == 25_000_000
    assert await store.flush(["exports/x/large"]) == frozenset()
    await store.delete_under("exports/x/")
    assert not await store.exists("exports/x/large")


async def test_a_file_is_durable_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("file:", tmp_path)
    flushed: list[str] = []
    assert store._files is not None

    def noting(names: Collection[str]) -> frozenset[str]:
        flushed.extend(names)
        return frozenset()

    monkeypatch.setattr(store._files, "flush", noting)
    written = store.open_file("exports/x/ü.csv")
    written.write(b"x")
    assert flushed == []
    written.close()
    assert flushed == ["exports/x/ü.csv"]
    assert (tmp_path / flushed[0]).read_bytes() == b"x"
    monkeypatch.setattr(store._files, "flush", frozenset)
    again = store.open_file("exports/x/ü.csv")
    with pytest.raises(StoreUnavailable, match="did not reach the disk"):
        again.close()


async def test_a_missing_object_is_no_outage(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match="Run its brand again"):
        await store.get(object_key(bytes(32)))


async def test_a_folder_given_by_url_is_used(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/my%20objects", tmp_path / "elsewhere")
    await store.put(BODY, SHA256, "image/png")
    assert (tmp_path / "my objects" / object_key(SHA256)).read_bytes() == BODY
    assert not (tmp_path / "elsewhere").exists()


def test_a_place_that_cannot_be_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be used") as error:
        open_store(f"file://{tmp_path}/file", tmp_path)
    assert "\n" not in str(error.value)


def test_a_url_that_names_no_store_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TRIPTYCH_STORE_URL"):
        open_store("ftp://somewhere", tmp_path)


@pytest.mark.parametrize(
    ("media_type", "shown_as", "disposition"),
    [
        ("image/png", "image/png", "inline"),
        ("IMAGE/JPEG", "image/jpeg", "inline"),
        ("video/mp4", "video/mp4", "inline"),
        # A store's signed URLs once showed these six inline, and named none of the rest.
        ("image/vnd.microsoft.icon", "image/vnd.microsoft.icon", "inline"),
        ("image/heic", "image/heic", "attachment"),
        ("image/tiff", "image/tiff", "attachment"),
        ("image/x-unheard-of", "image/x-unheard-of", "attachment"),
        ("audio/ogg", "audio/ogg", "attachment"),
        ("video/quicktime", "video/quicktime", "attachment"),
        ("text/plain", "text/plain", "attachment"),
        ("model/gltf-binary", "model/gltf-binary", "attachment"),
        ("application/x-matroska", "application/x-matroska", "attachment"),
        ("application/pdf", "application/octet-stream", "attachment"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("text/html", "application/octet-stream", "attachment"),
        ("text/javascript", "application/octet-stream", "attachment"),
        ("image/png; x\r\nSet-Cookie: a=b", "application/octet-stream", "attachment"),
        ("", "application/octet-stream", "attachment"),
    ],
)
def test_g9_only_what_holds_no_script_is_shown_by_a_browser(
    media_type: str, shown_as: str, disposition: str
) -> None:
    shown = presentation(media_type)
    assert (shown.media_type, shown.disposition) == (shown_as, disposition)


SAVED_ONLY = frozenset(
    {
        # Only Safari shows them.
        *("image/tiff", "image/heic", "image/heic-sequence", "image/heif", "image/heif-sequence"),
        *("image/jp2", "image/jpx", "image/j2c"),
        "image/vnd.adobe.photoshop",
        # May hold scripts.
        "image/svg+xml",
    }
)


def test_every_decoded_type_that_browsers_show_is_inline() -> None:
    assert {*DECODED} - {*INLINE} == SAVED_ONLY
