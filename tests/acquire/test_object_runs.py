"""Brands whose pictures are files or objects, from the source to the snapshot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.bucket_server import says, serve_bucket
from tests.support.local_pipeline import acquiring_at, ended, snapshot
from tests.support.picture_server import picture
from tests.support.waiting import until
from triptych.messages import URL_QUEUE, Message
from triptych.model import Reason, Run, RunState
from triptych.wiring.local import Local

pytestmark = pytest.mark.integration


async def failures(local: Local, run: Run, reason: Reason) -> dict[str, str]:
    """Return the detail of each item that failed for a reason, by its URL."""
    found = await local.stores.runs.failed_items(run.id, reason.value, after=0, limit=100)
    return {one.url: one.detail or "" for one in found.rows}


async def test_a_folder_is_taken_in_and_only_what_changed_is_read_again(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    (pictures / "shoes").mkdir(parents=True)
    names = ["a b.png", "shoes/1.png", "shoes/2.png"]
    for number, name in enumerate(names):
        (pictures / name).write_bytes(picture(number))
        os.utime(pictures / name, (1e9, 1e9))
    (pictures / "broken.jpg").write_bytes(b"no picture at all")
    (pictures / "notes.txt").write_text("left out")
    (pictures / "passwd.png").symlink_to("/etc/passwd")
    async with acquiring_at(tmp_path) as local:
        run = await ended(local, (await local.submit("nike", source=f"folder:{pictures}")).id)
        assert (run.state, run.done, run.failed) == (RunState.COMMITTED, 3, 1)
        assert (run.rows_read, run.rows_refused) == (6, 2)
        assert list(await failures(local, run, Reason.NOT_AN_IMAGE)) == [
            f"file://{pictures}/broken.jpg"
        ]
        assets = {asset.url: asset for asset in await snapshot(local, "nike")}
        assert sorted(assets) == [f"file://{pictures}/{name.replace(' ', '%20')}" for name in names]
        assert assets[f"file://{pictures}/shoes/1.png"].metadata["folders"] == ["shoes"]

        (pictures / "shoes/1.png").write_bytes(picture(7))
        (pictures / "shoes/2.png").unlink()
        run = await ended(local, (await local.submit("nike")).id)
        assert (run.state, run.added, run.kept) == (RunState.COMMITTED, 0, 1)
        assert (run.changed, run.removed) == (1, 1)


async def test_a_bucket_is_taken_in_and_only_what_changed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serve_bucket(monkeypatch) as served,
        acquiring_at(tmp_path, source_buckets="s3://pictures/new") as local,
    ):
        served.objects = {f"new/{n} #.png": picture(n) for n in range(3)}
        run = await ended(local, (await local.submit("nike", source="bucket:s3://pictures/new")).id)
        assert (run.state, run.done, run.failed) == (RunState.COMMITTED, 3, 0)
        served.objects["new/1 #.png"] = picture(7)
        served.answers["new/2 #.png"] = says(403, "AccessDenied")
        served.reads.clear()
        run = await ended(local, (await local.submit("nike")).id)
        assert await failures(local, run, Reason.FORBIDDEN) == {
            "s3://pictures/new/2%20%23.png": "HTTP 403 AccessDenied"
        }
        assert served.reads == ["new/1 #.png"]
        assert served.unchanged == ["new/0 #.png"]


async def test_g9_neither_a_row_nor_a_message_reads_what_is_not_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, beside = tmp_path / "listed", tmp_path / "beside"
    for folder in (listed, beside):
        folder.mkdir()
        (folder / "1.png").write_bytes(picture(1))
    urls = [f"file://{listed}/1.png", "s3://pictures/in/1.png"]
    refused = [
        "file:///etc/passwd",
        f"file://{beside}/1.png",
        "s3://pictures/1.png",
        "gs://x/1.png",
    ]
    (beside / "list.csv").write_text("\n".join(["url", *urls, *refused]))
    listing = {"source_folders": str(listed), "source_buckets": "s3://pictures/in"}
    async with (
        serve_bucket(monkeypatch) as served,
        acquiring_at(tmp_path, **listing) as local,
    ):
        served.objects = {"1.png": picture(2), "in/1.png": picture(3)}
        # Its own user names the list; what the list names is nobody's word.
        run = await ended(
            local, (await local.submit("nike", source=f"manifest:{beside}/list.csv")).id
        )
        assert (run.done, run.failed) == (2, 4)
        found = await failures(local, run, Reason.ADDRESS_REFUSED)
        assert sorted(found) == sorted(refused)
        assert {detail.rpartition(" ")[2] for detail in found.values()} == {
            "TRIPTYCH_SOURCE_FOLDERS",
            "TRIPTYCH_SOURCE_BUCKETS",
        }
        messages = [
            Message({"brand": "puma", "url": url, "metadata": {}}) for url in [*urls, *refused]
        ]
        await local.queue.send(URL_QUEUE, messages)

        async def newest() -> Run | None:
            runs = await local.stores.runs.runs("puma", limit=1)
            return runs[0] if runs else None

        opened = await until(newest, lambda found: found is not None)
        assert opened is not None
        run = await ended(local, opened.id)
        assert (run.done, run.failed) == (2, 4)
        assert served.reads == ["in/1.png"] * 2
