"""The manifest source: three formats, any place, any length, broken or not."""

from __future__ import annotations

import asyncio
import csv
import gzip
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fetching import LOOPBACK
from tests.support.list_bombs import gzipped
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import TransportPool
from triptych.gather.lists.bounds import TEXT_MAX_BYTES
from triptych.gather.lists.columns import ColumnChoice
from triptych.gather.lists.rows import BrandRows
from triptych.gather.phase import new_item
from triptych.gather.source import Page, Row
from triptych.gather.source_registry import SourceRegistry

pytestmark = pytest.mark.integration

PATIENCE_S = 120.0


@asynccontextmanager
async def opened_ways() -> AsyncIterator[TransportPool]:
    transports = TransportPool(AddressGuard(LOOPBACK), limit=5, user_agent="triptych-test")
    try:
        yield transports
    finally:
        await transports.close()


async def _pages(place: str, brand: str, cursor: str | None, rows: int) -> list[Page]:
    async with opened_ways() as transports, asyncio.timeout(PATIENCE_S):
        source = SourceRegistry.discover().open(
            f"manifest:{place}", transports=transports, token=None, page_rows=rows
        )
        return [page async for page in source.pages(brand, cursor)]


def pages(
    place: Path | str, *, brand: str = "nike", cursor: str | None = None, rows: int = 1000
) -> list[Page]:
    return asyncio.run(_pages(str(place), brand, cursor, rows))


def rows_here(path: Path, offset: int = 0) -> list[Row]:
    """Return the rows after the first ``offset`` as a parser reads them, without a process."""
    read = BrandRows([(path.name, lambda: path.open("rb"))], "nike", ColumnChoice())
    return [row for record in read.records(offset) for row in record.rows(frozenset())]


def rows_of(found: Sequence[Page]) -> list[Row]:
    return [row for page in found for row in page.rows]


def write_csv(path: Path, records: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["url", "note"])
        writer.writeheader()
        writer.writerows(records)


def write_jsonl(path: Path, records: Sequence[dict[str, str]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))


def write_parquet(path: Path, records: Sequence[dict[str, str]]) -> None:
    columns = {name: [record[name] for record in records] for name in ("url", "note")}
    schema = pa.schema([("url", pa.string()), ("note", pa.string())])
    pq.write_table(pa.table(columns, schema), path, row_group_size=7)


HEX = b"".join(os.urandom(16).hex().encode() + b"\n" for _ in range(20_000))
WRITERS: dict[str, Callable[[Path, Sequence[dict[str, str]]], None]] = {
    "urls.csv": write_csv,
    "urls.jsonl": write_jsonl,
    "urls.parquet": write_parquet,
}
words = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r", exclude_categories=["Cs"]),
    max_size=12,
)
urls = st.from_regex(r"\A[a-z0-9/.,;|%&?=-]{1,20}\Z").map("https://x/{}".format)
records = st.lists(st.fixed_dictionaries({"url": urls, "note": words}), min_size=1, max_size=30)


@pytest.mark.parametrize("name", WRITERS)
@settings(max_examples=25, deadline=None)
@given(records=records)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, records: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("m") / name
    WRITERS[name](path, records)
    found = [(row.url, row.metadata) for row in rows_here(path)]
    assert found == [(record["url"], {"note": record["note"]}) for record in records]


@pytest.mark.parametrize("name", WRITERS)
def test_a_parser_process_reads_the_same(tmp_path: Path, name: str) -> None:
    notes = ["", " ", "two\nlines", 'a "quote"', "a,b;c|d\te", "Größe 💥", "x" * 5_000]
    written = [{"url": f"https://x/{at}", "note": note} for at, note in enumerate(notes)]
    WRITERS[name](tmp_path / name, written)
    found = rows_of(pages(tmp_path / name, rows=4))
    assert [row.metadata for row in found] == [{"note": note} for note in notes]
    assert found == rows_here(tmp_path / name)


@pytest.mark.parametrize("name", WRITERS)
def test_g3_every_cursor_goes_on_where_its_page_ended(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, [{"url": f"https://x/{n}", "note": str(n)} for n in range(23)])
    whole = pages(path, rows=4)
    everything = rows_of(whole)
    assert len(everything) == 23
    assert whole[-1].cursor is None
    read = 0
    for page in whole[:-1]:
        read += len(page.rows)
        assert rows_here(path, int(page.cursor or 0)) == everything[read:]
    assert rows_of(pages(path, cursor=whole[2].cursor, rows=5)) == everything[12:]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, delimiter: str) -> None:
    text = (
        f'\ufeffurl{delimiter} note \r\nhttps://x/1{delimiter}"two\r\nlines"\r\n\r\nhttps://x/2\r\n'
    )
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert rows_of(pages(tmp_path / "a.csv")) == [
        Row("https://x/1", {"note": "two\r\nlines"}, "line 2"),
        Row("https://x/2", {}, "line 5"),
    ]


def test_json_lines_keep_what_is_good_of_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    lines = ['{"url": "https://x/1", "n": {"a": [1, null]}}', "{broken", "[1]", "", '{"n": 2}']
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = rows_of(pages(path))
    assert found[0] == Row("https://x/1", {"n": {"a": [1, None]}}, "line 1")
    assert [row.place for row in found[1:]] == ["line 2", "line 3", "line 5"]
    assert all(row.problem for row in found[1:])


def test_g8_a_line_too_long_is_a_row_that_fails(tmp_path: Path) -> None:
    long = '{"url": "' + "x" * TEXT_MAX_BYTES + '"}'
    (tmp_path / "a.jsonl").write_text(f'{long}\n{{"url": "https://x/2"}}\n')
    long_one, good = rows_of(pages(tmp_path / "a.jsonl"))
    assert (long_one.place, "Longer than" in long_one.problem) == ("line 1", True)
    assert good.url == "https://x/2"


def test_parquet_types_become_json(tmp_path: Path) -> None:
    table = pa.table(
        {
            "url": ["https://x/1"],
            "at": [datetime(2026, 11, 24, 12, tzinfo=UTC)],
            "nan": [float("nan")],
            "raw": [b"\x01\xff"],
            "nested": [{"tags": ["a"], "when": datetime(2026, 1, 1)}],  # noqa: DTZ001
            "none": pa.array([None], pa.string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (row,) = rows_of(pages(tmp_path / "a.parquet"))
    assert row.metadata == {
        "at": "2026-11-24T12:00:00+00:00",
        "nan": None,
        "raw": "01ff",
        "nested": {"tags": ["a"], "when": "2026-01-01T00:00:00"},
        "none": None,
    }


def test_a_brand_gets_its_own_rows_and_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("url,brand\nu1,nike\nu2,adidas\nu3,nike\n")
    assert rows_of(pages(tmp_path / "all.csv")) == [
        Row("u1", {}, "line 2"),
        Row("u3", {}, "line 4"),
    ]
    (tmp_path / "H%26M.csv").write_text("url\nu9\n")
    assert rows_of(pages(f"{tmp_path}/{{brand}}.csv", brand="H&M")) == [Row("u9", {}, "line 2")]


def test_a_list_of_other_brands_is_refused_and_names_them(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("url,Brand\nhttps://x/1,Nike\nhttps://x/2,adidas\n")
    with pytest.raises(SourceRefused, match=r"no row of brand 'nike'.*Nike, adidas"):
        pages(path)
    assert len(rows_of(pages(f"{path}#brand-column="))) == 2
    assert [row.url for row in rows_of(pages(path, brand="adidas"))] == ["https://x/2"]


def test_what_was_guessed_about_a_list_is_on_its_first_page(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        "url;farbe\nhttps://x/1;weiß\nhttps://x/2;rot".encode("cp1252")
    )
    first, second = pages(tmp_path / "a.csv", rows=1)
    assert first.rows[0].metadata == {"farbe": "weiß"}
    (found,) = first.lists
    assert (found.name, found.encoding) == ("a.csv", "windows-1252")
    assert "Windows-1252" in found.notes[0]
    assert not second.lists


def test_columns_are_chosen_behind_the_place(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("Foto;Foto hinten;url\nhttps://x/1;https://x/2;https://x/page\n")
    rows = rows_of(pages(f"{path}#url-column=foto&url-column=Foto+hinten"))
    assert [row.url for row in rows] == ["https://x/1", "https://x/2"]
    assert rows[0].metadata == {"url": "https://x/page"}
    with pytest.raises(SourceRefused, match="no option colour"):
        pages(f"{path}#colour=red")
    (tmp_path / "a#b.csv").write_text("url\nhttps://x/1\n")
    assert len(rows_of(pages(tmp_path / "a#b.csv"))) == 1


def test_a_folder_and_a_pattern_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        (tmp_path / f"part-{number}.csv").write_text(f"url\nhttps://x/{number}\n{number}\n")
    (tmp_path / "_SUCCESS").write_text("")
    whole = pages(tmp_path, rows=2)
    assert [row.url for row in rows_of(whole)] == [
        "https://x/1",
        "1",
        "https://x/2",
        "2",
        "https://x/3",
        "3",
    ]
    assert rows_of(whole)[2].place == "part-2.csv line 2"
    assert rows_of(pages(tmp_path, cursor=whole[0].cursor)) == rows_of(whole)[2:]
    assert len(rows_of(pages(f"{tmp_path}/part-[12].csv"))) == 4
    with pytest.raises(SourceRefused, match="stands for 0 files"):
        pages(f"{tmp_path}/nothing-*.csv")
    (tmp_path / "part-2.csv").write_text("name\nx\n")
    with pytest.raises(SourceRefused, match=r"part-2\.csv: No column"):
        pages(tmp_path)


def test_rows_without_a_url_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text("Title,Image Src\nShoe,https://x/1\nShoe 2,\nShoe 3,\n")
    assert [(row.place, row.refused) for row in rows_of(pages(path))] == [
        ("line 2", ""),
        ("line 3", "There is no URL in Image Src."),
        ("line 4", "There is no URL in Image Src."),
    ]


async def test_a_manifest_is_read_over_http(tmp_path: Path) -> None:
    path = tmp_path / "urls.parquet"
    write_parquet(path, [{"url": f"u{n}", "note": ""} for n in range(20)])
    app = web.Application()
    app.router.add_static("/", tmp_path)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        assert len(rows_of(await _pages(f"{base}/urls.parquet", "nike", "5", 4))) == 15
        with pytest.raises(SourceRefused, match="HTTP 404"):
            await _pages(f"{base}/nowhere.csv", "nike", None, 4)
    finally:
        await runner.cleanup()


def test_a_brand_is_not_the_home_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for folder in ("home", "~"):
        (tmp_path / folder).mkdir()
        write_csv(tmp_path / folder / "urls.csv", [{"url": folder, "note": ""}])
    assert [row.url for row in rows_of(pages("{brand}/urls.csv", brand="~"))] == ["~"]
    assert [row.url for row in rows_of(pages("~/urls.csv"))] == ["home"]


async def test_g8_a_body_that_expands_on_its_way_is_refused() -> None:
    bodies = {
        "/bomb.csv": gzipped(b"url\n", b"https://x/a.jpg\n" * 65_536, 200),
        "/good.csv": gzip.compress(b"url\nhttps://x/a.jpg\n"),
    }

    async def compressed(request: web.Request) -> web.Response:
        return web.Response(body=bodies[request.path], headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/{name}", compressed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        (row,) = rows_of(await _pages(f"{base}/good.csv", "nike", None, 4))
        assert row.url == "https://x/a.jpg"
        with pytest.raises(SourceRefused, match=r"\d+ bytes unpack to more than \d+"):
            await _pages(f"{base}/bomb.csv", "nike", None, 1000)
    finally:
        await runner.cleanup()


def test_a_manifest_is_read_from_an_object_store(tmp_path: Path) -> None:
    write_csv(tmp_path / "urls.csv", [{"url": "u1", "note": "n"}])
    assert rows_of(pages(f"file://{tmp_path}/urls.csv")) == [Row("u1", {"note": "n"}, "line 2")]
    with pytest.raises(SourceRefused, match="There is no file"):
        pages(f"file://{tmp_path}/nowhere.csv")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "a.csv",
            b"link,note\nhttps://x/1,n\n",
            "No column holds URLs. Its columns are: link, note",
        ),
        ("a.csv", b"", "The list is empty"),
        ("a.csv.gz", gzip.compress(b"url\n" + b"u\n" * 10_000, mtime=0)[:40], "cannot be read"),
        ("a.csv.gz", gzip.compress(b"url\n" + HEX, mtime=0)[:-50_000], "cannot be read"),
        ("a.parquet", b"PAR1 and nothing more", "cannot be read"),
    ],
    ids=["other-columns", "empty", "cut-in-its-head", "cut-later", "no-parquet"],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceRefused) as error:
        pages(tmp_path / name)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("scheme", ["http", "HTTP", "hTtP"])
def test_g9_a_url_is_none_of_the_servers_files_however_its_scheme_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    (tmp_path / f"{scheme}:").mkdir()
    (tmp_path / "secret.csv").write_text("url\nhttps://x/secret\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((SourceRefused, SourceUnavailable), match=r"URL|answer|address"):
        pages(f"{scheme}://../secret.csv")


def test_a_missing_file_and_a_parquet_without_urls(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="There is no file"):
        pages(tmp_path / "nowhere.csv")
    pq.write_table(pa.table({"link": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(SourceRefused, match="columns are: link"):
        pages(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", WRITERS)
def test_g8_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    async def peak(count: int) -> int:
        path = tmp_path / f"{count}-{name}"
        WRITERS[name](path, [{"url": f"https://x/{n}", "note": "x" * 50} for n in range(count)])
        async with opened_ways() as transports:
            source = SourceRegistry.discover().open(
                f"manifest:{path}", transports=transports, token=None, page_rows=1000
            )
            tracemalloc.start()
            try:
                read = 0
                async for page in source.pages("nike", None):
                    read += len(page.rows)
                assert read == count
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    asyncio.run(peak(1_000))
    assert asyncio.run(peak(12_000)) < 2 * asyncio.run(peak(2_000))


def test_rows_are_known_by_a_column(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("sku,url\nS1,https://x/1?s=a https://x/2?s=a\n,https://x/3\nS2,https://x/4\n")
    before = rows_of(pages(f"{path}#key=SKU"))
    assert [(row.identity, row.refused) for row in before] == [
        ("S1", ""),
        ("S1\n1", ""),
        (None, "There is no value in SKU, by which rows are to be known."),
        ("S2", ""),
    ]
    assert before[0].metadata == {"sku": "S1"}, "the key is still metadata"
    path.write_text("sku,url\nS1,https://y/1?s=b https://y/2?s=b\nS2,https://y/4\n")
    after = rows_of(pages(f"{path}#key=SKU"))
    keys = [[new_item(row).key for row in rows if not row.refused] for rows in (before, after)]
    assert keys[0] == keys[1]
    assert new_item(after[0]).url == "https://y/1?s=b"
    with pytest.raises(
        SourceRefused, match=r"No column is called 'id'\. Its columns are: sku, url"
    ):
        pages(f"{path}#key=id")


def test_parameters_of_a_signature_are_no_part_of_the_identity(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    keys = []
    for day in "ab":
        path.write_text(f"url\nhttps://x/1?w=2&Signature={day}&Expires={day}\n")
        (row,) = rows_of(pages(f"{path}#ignore-query=Signature&ignore-query=Expires"))
        keys.append(new_item(row).key)
    assert keys[0] == keys[1] == new_item(Row("https://x/1?w=2", {})).key
    assert new_item(row).url.endswith("Signature=b&Expires=b"), "it is sent as it was given"
