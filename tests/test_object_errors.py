"""What a store cannot do is told in one clear line, and what it holds is never half written."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
from pathlib import Path

import pytest

from triptych.errors import SettingsError, StoreUnavailable
from triptych.objects import PROBE, PROBE_KEY, object_key, open_store

BODY = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(BODY).digest()
PROCESSES = 4
PUTS_EACH = 20
PATIENCE_S = 60.0


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "url", ["", "nonsense", "s3://", "az://container", "ftp://somewhere/a", "s3:bucket"]
)
def test_a_url_that_opens_no_store_is_one_clear_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        open_store(url, tmp_path)
    assert one_line(error).startswith("TRIPTYCH_STORE_URL: ")


async def test_a_folder_that_has_become_a_file_fails_the_check(tmp_path: Path) -> None:
    """Holds for root, too, whom no mode bits keep from writing."""
    store = open_store("file:", tmp_path / "objects")
    (tmp_path / "objects" / "sha256").write_text("in the way")
    for attempt in (store.check(), store.put(BODY, SHA256, "image/png")):
        with pytest.raises(StoreUnavailable, match=str(tmp_path)) as error:
            await attempt
        one_line(error)


async def test_a_store_that_gives_back_other_bytes_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store("file:", tmp_path)

    async def rotten(_key: str) -> bytes:
        return b"rotten"

    monkeypatch.setattr(store, "find", rotten)
    with pytest.raises(StoreUnavailable, match="other bytes") as error:
        await store.check()
    one_line(error)


@pytest.mark.parametrize("left", [b"", b"rotten", b"\0" * len(PROBE)])
async def test_a_probe_that_a_power_cut_has_damaged_is_written_again(
    tmp_path: Path, left: bytes
) -> None:
    store = open_store("file:", tmp_path)
    await store.check()
    (tmp_path / PROBE_KEY).write_bytes(left)
    await store.check()
    assert (tmp_path / PROBE_KEY).read_bytes() == PROBE


async def test_memory_stores_are_apart() -> None:
    first, second = open_store("memory:", Path("a")), open_store("memory:", Path("a"))
    await first.put(BODY, SHA256, "image/png")
    assert not await second.exists(object_key(SHA256))


def _put_often(root: str) -> None:
    async def put() -> None:
        store = open_store("file:", Path(root))
        for _ in range(PUTS_EACH):
            await store.put(BODY, SHA256, "image/png")
            if await store.get(object_key(SHA256)) != BODY:
                raise AssertionError("an object was seen half written")

    asyncio.run(put())


@pytest.mark.integration
def test_g6_several_processes_leave_one_whole_object(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_put_often, args=(str(tmp_path),)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / object_key(SHA256)]
    assert files[0].read_bytes() == BODY
