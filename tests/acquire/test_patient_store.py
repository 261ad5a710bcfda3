"""An outage of the object store is waited out; a store that refuses one object is not away."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.local_pipeline import acquiring_at, ended
from tests.support.picture_server import Site, write_manifest
from tests.support.waiting import until_true
from triptych.acquire import patient_store
from triptych.acquire.patient_store import REFUSALS_MAX, PatientStore
from triptych.errors import ObjectMissing, StoreUnavailable, TransientItemError
from triptych.model import Reason, RunState
from triptych.objects import ObjectStore, object_key, open_store
from triptych.telemetry.metrics import REGISTRY

BODY = b"content"
SHA256 = hashlib.sha256(BODY).digest()
KEY = object_key(SHA256)
PATIENCE_S = 30.0
URLS = 30
LONGER_THAN_ATTEMPTS_S = 60.0
"""Five attempts with the longest pauses between them, 2, 4, 8 and 16 s, are over by then."""


@contextmanager
def away(objects: Path) -> Iterator[None]:
    """Let a store in a folder take and give nothing. Mode bits would not stop root."""
    folder, aside = objects / "sha256", objects / "aside"
    folder.rename(aside)
    folder.write_text("in the way")
    try:
        yield
    finally:
        folder.unlink()
        # What is tried again may have made the folder by now: each file is moved by itself.
        for file in [path for path in aside.rglob("*") if path.is_file()]:
            target = folder / file.relative_to(aside)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setattr(patient_store, "OUTAGE_CAP_S", 0.01)
    opened = open_store("file:", tmp_path)
    await opened.check()
    return opened


async def test_g4_everything_waits_until_the_store_is_back_and_it_is_logged_once(
    store: ObjectStore, tmp_path: Path
) -> None:
    await store.put(BODY, SHA256, "image/png")
    patient = PatientStore(store)
    other = hashlib.sha256(b"other").digest()
    with capture_logs() as lines:
        with away(tmp_path):
            waiting = [
                asyncio.ensure_future(patient.put(b"other", other, "image/png")),
                asyncio.ensure_future(patient.get(KEY)),
                asyncio.ensure_future(patient.present({KEY: len(BODY)})),
            ]
            await until_true(lambda: REGISTRY.get_sample_value("triptych_store_away") == 1)
            done, _ = await asyncio.wait(waiting, timeout=0.2)
            assert not done
        found = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
    assert found == [object_key(other), BODY, {KEY}]
    assert [line["event"] for line in lines] == ["store_away", "store_back"]
    assert REGISTRY.get_sample_value("triptych_store_away") == 0


async def test_a_store_that_refuses_one_object_only_costs_it_an_attempt(
    store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / KEY).parent.write_text("in the way")
    with capture_logs() as lines, pytest.raises(TransientItemError) as error:
        await asyncio.wait_for(PatientStore(store).put(BODY, SHA256, "image/png"), PATIENCE_S)
    assert error.value.reason is Reason.STORE_FAILED
    assert lines == []


async def test_a_refusal_in_an_outage_is_not_counted(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe finds the store back a moment before each call fails."""
    calls = probes = 0

    async def put(_body: bytes, _sha256: bytes, _media_type: str) -> str:
        nonlocal calls
        calls += 1
        if calls <= 4 * REFUSALS_MAX:
            raise StoreUnavailable
        return KEY

    async def check_room(_body: bytes) -> None:
        nonlocal probes
        probes += 1
        if probes % REFUSALS_MAX == 0:
            raise StoreUnavailable

    monkeypatch.setattr(store, "put", put)
    monkeypatch.setattr(store, "check_room", check_room)
    assert await PatientStore(store).put(BODY, SHA256, "image/png") == KEY


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_costs_no_attempt_and_is_named(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """There is room for a probe, but not for this object: the work waits all the same."""
    writes = 0

    def write(*_args: object, **_options: object) -> None:
        nonlocal writes
        writes += 1
        if writes <= 4 * REFUSALS_MAX:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store, "_created_at_once", lambda *_: False)
    monkeypatch.setattr(store, "_put", write)
    with capture_logs() as lines:
        key = await asyncio.wait_for(PatientStore(store).put(BODY, SHA256, "image/png"), PATIENCE_S)
    assert key == KEY
    assert [line["event"] for line in lines] == ["store_away", "store_back"]
    said = lines[0]["error"]
    assert said.startswith(f"The disk of the object store {tmp_path} is full: ")
    assert "MiB of" in said
    assert os.strerror(number) in said


@pytest.mark.integration
async def test_g4_a_run_waits_for_room_on_a_full_disk(site: Site, tmp_path: Path) -> None:
    """The store is a tmpfs that has room for a third of the pictures, until it is made larger."""
    objects = tmp_path / "data" / "objects"
    objects.mkdir(parents=True)
    with small_disk(objects, "64k") as enlarge, capture_logs() as lines:
        source = write_manifest(tmp_path, site.base, "nike", URLS)
        async with acquiring_at(tmp_path, decode=False, max_attempts=1) as local:
            run = await local.submit("nike", source=source)
            await until_true(lambda: any(line["event"] == "store_away" for line in lines))
            enlarge("16m")
            run = await ended(local, run.id)
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
    assert site.hits == URLS, "what was fetched was held"
    away_line = next(line for line in lines if line["event"] == "store_away")
    assert f"The disk of the object store {objects} is full" in away_line["error"]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """Mount a tmpfs on a folder, or skip; yield what changes its size."""

    def mount(options: str) -> int:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(words, capture_output=True, check=False).returncode

    if mount(f"size={size}") != 0:
        pytest.skip("this account may not mount a file system")
    try:
        yield lambda size: None if mount(f"remount,size={size}") == 0 else pytest.fail("no room")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_missing_object_is_not_waited_for(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        await PatientStore(store).get(KEY)
    assert await PatientStore(store).present({KEY: 1}) == frozenset()


async def test_waiting_ends_when_it_is_cancelled_and_when_patience_is_over(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with away(tmp_path):
        waiting = asyncio.create_task(PatientStore(store).put(BODY, SHA256, "image/png"))
        await until_true(lambda: REGISTRY.get_sample_value("triptych_store_away") == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(waiting, PATIENCE_S)
        monkeypatch.setattr(patient_store, "PATIENCE_S", 0.0)
        with pytest.raises(StoreUnavailable):
            await PatientStore(store).put(BODY, SHA256, "image/png")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("attempts", "seconds"),
    [(1, 1.0), pytest.param(5, LONGER_THAN_ATTEMPTS_S, marks=pytest.mark.prove)],
)
async def test_g4_a_run_loses_no_url_to_an_outage_of_the_store(
    site: Site, tmp_path: Path, attempts: int, seconds: float
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    with capture_logs() as lines:
        async with acquiring_at(tmp_path, decode=False, max_attempts=attempts) as local:
            with away(tmp_path / "data" / "objects"):
                run = await local.submit("nike", source=source)
                await until_true(lambda: any(line["event"] == "store_away" for line in lines))
                await asyncio.sleep(seconds)  # The outage itself.
            run = await ended(local, run.id)
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
    assert site.hits == URLS, "what was fetched was held"
    logged = [line["event"] for line in lines if line["event"].startswith("store_")]
    assert logged == ["store_away", "store_back"]


@pytest.mark.integration
async def test_g4_a_worker_that_stops_in_an_outage_gives_its_messages_back(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    with capture_logs() as lines, ExitStack() as outage:
        async with acquiring_at(tmp_path, decode=False, max_attempts=1, drain_s=0.1) as local:
            outage.enter_context(away(tmp_path / "data" / "objects"))
            run = await local.submit("nike", source=source)
            await until_true(lambda: any(line["event"] == "store_away" for line in lines))
    async with acquiring_at(tmp_path, decode=False, max_attempts=1) as local:
        run = await ended(local, run.id)
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
