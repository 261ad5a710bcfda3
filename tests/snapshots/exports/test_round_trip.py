"""An exported table: columns for the metadata, safe in a spreadsheet, and the same when read again.

Cases: getodk/central#752 and bardsoftware/ganttproject#1554 (CSV for Excel), gradio-app/trackio#105
and pixano/pixano#675 (an export is a valid import).
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
import pytest

from tests.support.contracts.stores_contract import LIMIT, done, open_run
from triptych.database.session import Database
from triptych.gather.lists.columns import ColumnChoice
from triptych.gather.lists.rows import BrandRows
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.model import Metadata, Run
from triptych.objects import open_store
from triptych.runs.run_store import RowsRead
from triptych.snapshots.exports import metadata_columns
from triptych.snapshots.exports.columns import OWN_IMPORTED, PEOPLE_COLUMN, imported_rows
from triptych.snapshots.exports.csv_table import CSV
from triptych.snapshots.exports.export import ExportRequest, export
from triptych.snapshots.exports.export_format import ExportFormat
from triptych.snapshots.exports.json_lines import JSON_LINES
from triptych.snapshots.exports.metadata_columns import MetadataSurvey
from triptych.snapshots.exports.parquet_table import PARQUET
from triptych.testing.export_pictures import export_pictures
from triptych.testing.pictures import Picture
from triptych.wiring.stores import Stores, postgres_stores

FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "'=1",
    "''=1",
    "'tis",
    "-",
    '="a"',
]
NASTY: list[Metadata] = [
    {
        "title": "Löwe",
        "price": 12,
        "weight": 1.5,
        "new": True,
        "tags": ["a", {"b": 1}],
        "none": None,
    },
    {"title": "", "price": -3, "weight": 2, "new": False, "nested": {"a": [1]}},
    {"title": 'two\nlines, "quoted";\r\n\ttabbed ', "price": "12", "weight": -0.0},
    {"title": "true", "price": None, "number": 2**63, "float": 1e300, "null": "null"},
    {"Title": "another name", "": "no name", " padded ": 1, "a\nb": 2, "x" * 300: 3, "价格": "四"},
    {"brand": "puma", "url": "https://other.example/", "URL 2": "https://other.example/2"},
    {"gallery": "https://other.example/3", "additional_image_link": "https://other.example/4"},
    {"key": "k", "x": 5, "tags": "t", "metadata": "{}", "metadata.title": "m", "embedding": [0.5]},
    {"=cmd": 1, "-a": 2, "@b": 3, "sep=": 4, "Size, EU": "41", "sku": "007", "deep": "[1]"},
    {"spaces": "a\u00a0b  c\u2028d\u200b", "emoji": "\U0001f469\u200d\U0001f680  x", "\u00a0": 1},
    {},
    *({f"f{n}": text} for n, text in enumerate(FORMULAS)),
]


ALSO: list[Metadata] = [
    {"title": "Löwe", "price": 12},
    {"title": "a\u00a0b  c\u2028d"},
    {"also": [1], "url": "https://other.example/5"},
    {"price": None, "nested": {"a": ["=1"]}},
]
FORMATS = [CSV, PARQUET, JSON_LINES]
"""The formats that are lists, too."""


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    database = Database(migrated_dsn)
    yield postgres_stores(database, run_cap_s=3600)
    await database.close()


def pictures(metadata: list[Metadata]) -> list[Picture]:
    return [
        Picture(
            f"https://cdn.example/{n}.png?a=1,https://x.example/&b=%20",
            metadata=each,
            also=ALSO[: n % (len(ALSO) + 1)],
            embedding=[1.0, 2.0, n],
        )
        for n, each in enumerate(metadata)
    ]


async def written(kind: ExportFormat, metadata: list[Metadata], folder: Path) -> Path:
    ((name, body),) = (await export_pictures(kind, pictures(metadata))).items()
    (folder / name).write_bytes(body)
    return folder / name


def rows_of(path: Path) -> list[Row]:
    rows = BrandRows([(path.name, lambda: path.open("rb"))], "brand", ColumnChoice())
    found = [row for record in rows.records(0) for row in record.rows()]
    assert [row for row in found if row.problem or row.refused] == []
    return found


def read_again(path: Path) -> dict[str, list[Metadata]]:
    """Return the metadata of the rows of each URL."""
    found = rows_of(path)
    urls = dict.fromkeys(row.url for row in found)
    return {url: [row.metadata for row in found if row.url == url] for url in urls}


def with_types(value: Any) -> Any:
    """Tell 1, 1.0 and True apart, which are equal."""
    if isinstance(value, dict):
        return {name: with_types(each) for name, each in value.items()}
    return [with_types(each) for each in value] if isinstance(value, list) else repr(value)


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
async def test_an_export_that_is_read_again_has_the_same_urls_and_metadata(
    kind: ExportFormat, tmp_path: Path
) -> None:
    again = read_again(await written(kind, NASTY, tmp_path))
    expected = {each.url: [each.metadata, *each.also] for each in pictures(NASTY)}
    assert again.keys() == expected.keys()
    for url, metadata in expected.items():
        assert with_types(again[url]) == with_types(metadata), url


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
async def test_a_brand_is_the_same_after_its_export_is_imported(
    kind: ExportFormat, tmp_path: Path, stores: Stores
) -> None:
    rows = [
        Row(each.url, metadata)
        for each in pictures(NASTY)
        for metadata in (each.metadata, *each.also)
    ]
    first = await committed(stores, "first", rows)
    opened: dict[str, Path] = {}

    def opening(name: str) -> IO[bytes]:
        opened[name] = tmp_path / name
        return opened[name].open("wb")

    await export(
        stores.snapshots,
        open_store("memory:", Path()),
        ExportRequest(first.id, "first", kind, opening),
    )
    (path,) = opened.values()
    again = await committed(stores, "again", rows_of(path))

    assert (again.expected, again.rows_merged) == (first.expected, first.rows_merged)
    assert await shown(stores, again) == await shown(stores, first)


async def committed(stores: Stores, brand: str, rows: Sequence[Row]) -> Run:
    run_id = (await open_run(stores, brand)).run.id
    new = [new_item(row) for row in rows]
    items = await stores.runs.expect(
        run_id, new, cursor=None, limit=LIMIT, rows=RowsRead(len(rows))
    )
    await stores.runs.seal(run_id)
    await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
    return await stores.runs.commit(run_id)


async def shown(stores: Stores, run: Run) -> dict[str, Any]:
    assets = await stores.snapshots.assets(run.id, after=None, limit=LIMIT)
    return {asset.url: with_types([asset.metadata, *asset.also]) for asset in assets}


async def test_metadata_are_columns_and_an_excel_reads_them(tmp_path: Path) -> None:
    path = await written(CSV, NASTY, tmp_path)
    body = path.read_bytes()
    assert body.startswith(codecs.BOM_UTF8)
    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
    assert {row["title"] for row in rows} >= {"Löwe", "true", ""}
    assert {row["price"] for row in rows} >= {"12", "-3"}
    numbers = {"price", "weight", "x", "y", "outlier", "metadata.x"}
    for row in rows:
        for name, cell in row.items():
            assert not name.startswith(tuple("=+-@\t\r\n"))
            assert "\n" not in cell
            if name not in numbers:
                assert not cell.startswith(tuple("=+-@\t\r\n")), (name, cell)


async def test_parquet_has_typed_columns(tmp_path: Path) -> None:
    metadata: list[Metadata] = [
        {"price": n, "kg": n / 2, "new": n > 1, "name": str(n)} for n in range(3)
    ]
    table = pq.read_table(await written(PARQUET, metadata, tmp_path))
    types = {name: str(table.schema.field(name).type) for name in ("price", "kg", "new", "name")}
    assert types == {"price": "int64", "kg": "double", "new": "bool", "name": "string"}


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
async def test_the_hash_is_what_the_api_shows(kind: ExportFormat, tmp_path: Path) -> None:
    phash = -7872170939612586602
    one = Picture("https://cdn.example/1.png", phash=phash)
    ((name, body),) = (await export_pictures(kind, [one])).items()
    (tmp_path / name).write_bytes(body)
    if kind is PARQUET:
        (shown,) = pq.read_table(tmp_path / name).column("phash").to_pylist()
    elif kind is JSON_LINES:
        shown = json.loads(body)["phash"]
    else:
        (row,) = csv.DictReader(io.StringIO(body.decode("utf-8-sig")))
        shown = row["phash"]
    assert shown == "92c06e3d2d3d1d96"


async def test_a_cell_that_was_edited_counts(tmp_path: Path) -> None:
    path = await written(CSV, [{"price": 12, "new": True, "title": "=a"}], tmp_path)
    text = path.read_text("utf-8-sig")
    ((kept,),) = read_again(path).values()
    assert kept == {"price": 12, "new": True, "title": "=a"}
    path.write_text(text.replace('"12"', '"13"').replace('"true"', '"TRUE"'))
    ((edited,),) = read_again(path).values()
    assert edited == {"price": "13", "new": True, "title": "=a"}
    path.write_text(text.replace('"12"', "").replace('"\'=a"', '""'))
    ((emptied,),) = read_again(path).values()
    assert emptied == {"new": True}


def test_rows_of_other_lists_stay_as_they_are() -> None:
    values = {"metadata": '{"a": 1}', "title": "x", "phash": "1"}
    assert imported_rows(values) is None


def test_rows_that_were_exported_before_a_column_came_are_known() -> None:
    before = {**dict.fromkeys(OWN_IMPORTED), "metadata": '{"a": 1}', "a": 1}
    assert imported_rows(before) == [{"a": 1}]
    assert imported_rows({**before, PEOPLE_COLUMN: "group"}) == [{"a": 1}]


def test_columns_are_bounded_and_what_has_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_columns, "COLUMNS_MAX", 2)
    survey = MetadataSurvey()
    several: list[Metadata] = [{"often": "a", "b": 1}, {"often": "b", "a": 1}, {"lists": []}]
    for metadata in several:
        survey.add(metadata)
    columns = survey.columns([])
    assert list(columns.columns) == ["a", "often"]
    (note,) = columns.notes
    assert note.startswith("2 of the metadata's 4 names have no column of their own: they are only")
    monkeypatch.setattr(metadata_columns, "NAMES_MAX", 4)
    survey.add({"one too many": "x"})
    assert survey.columns([]).notes[0].startswith("More than 2 of")
