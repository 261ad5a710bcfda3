"""Exports of a snapshot: every asset once, whole files or none, as other tools read them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import mimetypes
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support.contracts.stores_contract import LIMIT, done, new_items, open_run
from tests.support.file_features import facts
from triptych.ai.ai_store import Marks
from triptych.database.session import Database
from triptych.errors import ObjectMissing, RunNotFound, SnapshotCollected
from triptych.features.feature_store import Feature
from triptych.features.file_feature import FILE, as_result
from triptych.features.picture_people import PEOPLE, Face, PicturePeople
from triptych.features.picture_text import TEXT, PictureText, TextLine
from triptych.model import Insight, Run
from triptych.objects import ObjectStore, open_store
from triptych.snapshots.exports import csv_table, webdataset
from triptych.snapshots.exports import export as exporting
from triptych.snapshots.exports.csv_table import CSV
from triptych.snapshots.exports.export import ExportRequest, export
from triptych.snapshots.exports.export_format import ExportFormat
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.snapshots.exports.json_lines import JSON_LINES
from triptych.snapshots.exports.parquet_table import PARQUET
from triptych.snapshots.exports.webdataset import WEBDATASET
from triptych.wiring.stores import Stores, postgres_stores

ASSETS = 7


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    database = Database(migrated_dsn)
    yield postgres_stores(database, run_cap_s=3600)
    await database.close()


@pytest.fixture
def store() -> ObjectStore:
    return open_store("memory:", Path())


def body(url: str, size_bytes: int) -> bytes:
    return url.encode().rjust(size_bytes)[-size_bytes:]


async def marked_snapshot(stores: Stores, store: ObjectStore) -> Run:
    run_id = (await open_run(stores)).run.id
    items = await stores.runs.expect(run_id, new_items(ASSETS), cursor=None, limit=LIMIT)
    await stores.runs.seal(run_id)
    await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
    run = await stores.runs.commit(run_id)
    assets = await stores.snapshots.assets(run.id, after=None, limit=100)
    for asset in assets:
        await store.put_as(asset.object_key, body(asset.url, asset.size_bytes), "image/png")
    keys = np.frombuffer(b"".join(asset.key for asset in assets), np.uint8).reshape(-1, 16)
    marks = Marks(keys, {"tags": [["shoe", "red"]] * ASSETS, "x": [0.5] * ASSETS})
    await stores.ai.begin_ai("nike", run.id)
    await stores.ai.finish_ai(run.id, [Insight("x", {})], marks=marks)
    return run


class Files:
    """A folder in memory that knows which files were finished."""

    def __init__(self) -> None:
        self.finished: dict[str, bytes] = {}

    def open(self, name: str) -> IO[bytes]:
        files = self

        class File(io.BytesIO):
            def close(self) -> None:
                files.finished[name] = self.getvalue()
                super().close()

        return File()


async def exported(
    stores: Stores, store: ObjectStore, run: Run, kind: ExportFormat
) -> dict[str, bytes]:
    files = Files()
    count = await export(stores.snapshots, store, ExportRequest(run.id, "nike", kind, files.open))
    assert count == ASSETS
    return files.finished


async def test_parquet_has_every_asset_with_its_embedding(
    stores: Stores, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PAGE_ASSETS", 3)
    run = await marked_snapshot(stores, store)
    files = await exported(stores, store, run, PARQUET)
    table = pq.read_table(io.BytesIO(files["nike.parquet"]))
    assets = await stores.snapshots.assets(run.id, after=None, limit=100)
    assert table.column("key").to_pylist() == [asset.key.hex() for asset in assets]
    assert table.schema.field("embedding").type.list_size == 16
    for row, asset in zip(table.to_pylist(), assets, strict=True):
        assert asset.embedding is not None
        assert row["embedding"] == asset.embedding.tolist()
        assert (row["tags"], row["x"], row["cluster"]) == (["shoe", "red"], 0.5, None)
        assert json.loads(row["metadata"]) == asset.metadata
        assert row["colours"] == ["#00ff7f", "#000000"]
    assert files == await exported(stores, store, run, PARQUET), "the same bytes"


async def test_csv_is_read_back_and_runs_in_no_spreadsheet(
    stores: Stores, store: ObjectStore
) -> None:
    run = await marked_snapshot(stores, store)
    files = await exported(stores, store, run, CSV)
    rows = list(csv.DictReader(io.StringIO(files["nike.csv"].decode())))
    assert len(rows) == ASSETS
    assert json.loads(rows[0]["tags"]) == ["shoe", "red"]
    assert "embedding" not in rows[0]
    assert csv_table._cell("=1+1") == "'=1+1"


@pytest.mark.parametrize("kind", [CSV, JSON_LINES, PARQUET], ids=lambda kind: kind.name)
async def test_text_people_and_what_files_show_are_columns(
    stores: Stores, store: ObjectStore, kind: ExportFormat
) -> None:
    run = await marked_snapshot(stores, store)
    first, second, *_ = await stores.snapshots.assets(run.id, after=None, limit=2)
    lines = [TextLine(text, 0.9, 0, 0, 1, 1) for text in ("SALE", "-50 %")]
    text = PictureText(lines, 0)
    await stores.features.put(
        TEXT, [Feature(first.sha256, text.as_result()), Feature(second.sha256, None, "broken")]
    )
    none, group = (PicturePeople.with_faces([Face(0.9, 0, 0, 1, 1)] * n) for n in (0, 2))
    await stores.features.put(
        PEOPLE,
        [Feature(first.sha256, group.as_result()), Feature(second.sha256, none.as_result())],
    )
    shown = as_result(facts(detail=0.1, copyright="© Acme", has_place=True))
    await stores.features.put(FILE, [Feature(first.sha256, shown)])
    files = Files()
    wanted = ExportRequest(run.id, "nike", kind, files.open)
    await export(stores.snapshots, store, wanted, features=stores.features)
    (content,) = files.finished.values()
    if kind is JSON_LINES:
        row, other = (json.loads(line) for line in content.splitlines()[:2])
        assert (row["copyright"], row["has_place"], row["creator"]) == ("© Acme", True, None)
        assert "blurred" in row["faults"]
        assert (other["copyright"], other["has_place"], other["faults"]) == (None, None, None)
    if kind is PARQUET:
        rows = pq.read_table(io.BytesIO(content)).to_pylist()
    elif kind is CSV:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    else:
        rows = [json.loads(line) for line in content.splitlines()]
    # A cell of a CSV has one line.
    expected = "SALE -50 %" if kind is CSV else "SALE\n-50 %"
    assert [row["text"] or None for row in rows] == [expected] + [None] * (ASSETS - 1)
    people = [row["people"] or None for row in rows]
    assert people == ["group", "none"] + [None] * (ASSETS - 2)


async def test_webdataset_shards_have_bytes_columns_and_embedding(
    stores: Stores, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webdataset, "SHARD_MAX_SAMPLES", 3)
    run = await marked_snapshot(stores, store)
    files = await exported(stores, store, run, WEBDATASET)
    assert sorted(files) == [f"nike-00000{n}.tar" for n in range(3)]
    samples: dict[str, dict[str, bytes]] = {}
    for content in files.values():
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                name, _, ending = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                samples.setdefault(name, {})[ending] = file.read()
    assert len(samples) == ASSETS
    for name, sample in samples.items():
        told = json.loads(sample["json"])
        assert told["key"] == name
        assert sample["png"] == body(told["url"], told["size_bytes"])
        assert np.load(io.BytesIO(sample["npy"])).shape == (16,)


@pytest.mark.parametrize(
    ("media_type", "body", "ending"),
    [
        ("image/svg+xml", b"<svg/>", ".svg"),
        ("image/svg+xml", gzip.compress(b"<svg/>", mtime=0), ".svgz"),
        ("image/webp", b"RIFF", ".webp"),
        ("image/jpeg", b"", ".jpg"),
        ("image/vnd.microsoft.icon", b"", ".ico"),
        ("image/x-unheard-of", b"", ".bin"),
    ],
)
def test_files_in_shards_have_the_ending_of_their_type_on_every_machine(
    media_type: str, body: bytes, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mimetypes, "guess_extension", mimetypes.MimeTypes().guess_extension)
    assert webdataset._ending(media_type, body) == ending


@pytest.mark.parametrize("kind", ExportRegistry.discover().formats, ids=lambda one: one.name)
async def test_an_empty_snapshot_is_an_empty_export(
    stores: Stores, store: ObjectStore, kind: ExportFormat
) -> None:
    run_id = (await open_run(stores)).run.id
    await stores.runs.seal(run_id)
    await stores.runs.commit(run_id)
    files = Files()
    assert (
        await export(stores.snapshots, store, ExportRequest(run_id, "nike", kind, files.open)) == 0
    )
    assert len(files.finished) == 1


async def test_what_cannot_be_read_is_no_export(stores: Stores, store: ObjectStore) -> None:
    run = await marked_snapshot(stores, store)
    assets = await stores.snapshots.assets(run.id, after=None, limit=100)
    await store.delete([assets[-1].object_key])
    files = Files()
    wanted = ExportRequest(run.id, "nike", WEBDATASET, files.open)
    with pytest.raises(ObjectMissing):
        await export(stores.snapshots, store, wanted)
    await store.put_as(assets[-1].object_key, b"cut", "image/png")
    with pytest.raises(ObjectMissing):
        await export(stores.snapshots, store, wanted)
    assert files.finished == {}
    await stores.brands.begin_deletion("nike")
    await stores.retention.delete_brand("nike", limit=1000)
    wanted = ExportRequest(run.id, "nike", CSV, files.open)
    with pytest.raises(SnapshotCollected):
        await export(stores.snapshots, store, wanted)
    await stores.retention.delete_brand("nike", limit=1000)
    with pytest.raises(RunNotFound):
        await export(stores.snapshots, store, wanted)
