"""Checking a source counts its rows as a run would, and starts nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from triptych.errors import SourceRefused, SourceUnavailable, TooManyRequests
from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import TransportPool
from triptych.gather import source_check
from triptych.gather.source import Page, Row
from triptych.gather.source_check import SourceCheck, SourceChecker, check_source
from triptych.gather.source_reach import reach_of
from triptych.gather.source_registry import SourceRegistry

LIST = """\
URL;Title;brand
https://x/1;Größe;nike
https://x/1;again;nike
;without;nike
ftp://x/2;not http;nike
https://x/3;theirs;adidas
"""


async def checked(path: Path, brand: str | None = None) -> SourceCheck:
    transports = TransportPool(AddressGuard(), limit=1, user_agent="test")
    spec = f"manifest:{path}"
    source = SourceRegistry.discover().open(spec, transports=transports, token=None, page_rows=2)
    return await check_source(source, spec, brand)


@pytest.mark.integration
async def test_a_list_is_described_and_its_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes(LIST.encode("cp1252"))
    found = await checked(path, "nike")
    (listed,) = found.lists
    assert (listed.format, listed.encoding, listed.delimiter) == (
        "CSV",
        "windows-1252",
        "semicolon",
    )
    assert (listed.url_columns, listed.brand_column) == (["URL"], "brand")
    assert listed.columns == ["URL", "Title", "brand"]
    assert "Windows-1252" in listed.notes[0]
    assert (found.rows_read, found.items, found.rows_merged, found.rows_refused) == (4, 2, 1, 1)
    assert (found.items_failed, found.whole, found.brands) == (1, True, ["adidas"])
    assert [(row.place, row.url, row.metadata.get("Title")) for row in found.first_rows] == [
        ("line 2", "https://x/1", "Größe"),
        ("line 3", "https://x/1", "again"),
        ("line 4", "", "without"),
        ("line 5", "ftp://x/2", "not http"),
    ]
    assert {(p.outcome, p.count, tuple(p.places)) for p in found.problems} == {
        ("refused", 1, ("line 4",)),
        ("failed", 1, ("line 5",)),
    }


@pytest.mark.integration
async def test_without_a_brand_the_rows_of_all_are_read(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text(LIST)
    found = await checked(path)
    assert (found.rows_read, found.items) == (5, 3)
    assert found.brands == ["nike", "adidas"]


@pytest.mark.integration
async def test_a_file_that_is_no_list_is_refused_as_in_a_run(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0 picture")
    with pytest.raises(SourceRefused, match="JPEG picture"):
        await checked(path)


class Endless:
    """A source without an end."""

    def __init__(self) -> None:
        self.closed = False

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        number = 0
        try:
            while True:
                yield Page([Row(f"https://x/{number + n}", {}) for n in range(10)], "more")
                number += 10
        finally:
            self.closed = True


async def test_a_long_source_is_judged_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_check, "ROWS_MAX", 100)
    source = Endless()
    found = await check_source(source, "catalog:x", "nike")
    assert (found.rows_read, found.items, found.whole) == (100, 100, False)
    assert source.closed


class Rows:
    """A source of one page."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        yield Page(self.rows, None)


async def test_problems_are_bounded_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_check, "PROBLEMS_MAX", 2)
    rows = [Row("", {}, place=f"line {n}", refused=f"reason {n}") for n in range(20)]
    found = await check_source(Rows(rows), "manifest:x", None)
    assert [(each.problem, each.count) for each in found.problems] == [
        ("reason 0", 1),
        ("reason 1", 1),
        ("Other problems.", 18),
    ]
    assert len(found.problems[-1].places) == source_check.PLACES_MAX
    assert len(found.first_rows) == source_check.FIRST_ROWS


async def test_objects_and_files_that_no_worker_would_read_fail() -> None:
    rows = [
        Row("s3://listed/a/1.jpg", {}),
        Row("s3://listed/b/1.jpg", {}, place="line 3"),
        Row("gs://other/1.jpg", {}, place="line 4"),
        Row("file:///srv/pictures/1.jpg", {}),
        Row("file:///etc/passwd", {}, place="line 6"),
        Row("https://x/1.jpg", {}),
    ]
    reach = reach_of((Path("/srv/pictures"),), ("s3://listed/a",), own=None, own_web=False)
    checker = SourceChecker(lambda _spec, _trusted: Rows(rows), reach)
    found = await checker.check("manifest:https://x/list.csv", None)
    assert (found.items, found.items_failed) == (6, 3)
    assert [(p.problem.partition(":")[0], p.places) for p in found.problems] == [
        ("address_refused", ["line 3"]),
        ("address_refused", ["line 4"]),
        ("address_refused", ["line 6"]),
    ]
    assert "TRIPTYCH_SOURCE_BUCKETS" in found.problems[0].problem
    assert "TRIPTYCH_SOURCE_FOLDERS" in found.problems[2].problem
    assert [row.problem is None for row in found.first_rows] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("trusted", [True, False])
async def test_what_this_machines_user_names_is_read_below_its_place(*, trusted: bool) -> None:
    rows = [Row("file:///srv/mine/1.jpg", {}), Row("file:///srv/other/1.jpg", {}, place="2")]
    reach = reach_of((), (), own=None, own_web=False)
    checker = SourceChecker(lambda _spec, _trusted: Rows(rows), reach)
    found = await checker.check("folder:/srv/mine", "nike", trusted=trusted)
    assert found.items_failed == (1 if trusted else 2)


async def test_sources_are_checked_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_go = asyncio.Event(), asyncio.Event()

    class Slow:
        async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
            begun.set()
            await may_go.wait()
            yield Page([Row("https://x/1", {})], None)

    checker = SourceChecker(lambda _spec, _trusted: Slow())
    first = asyncio.create_task(checker.check("manifest:x", None))
    await begun.wait()
    second = asyncio.create_task(checker.check("manifest:y", None))
    await asyncio.sleep(0)  # It begins to wait.
    monkeypatch.setattr(source_check, "TURN_S", 0.0)
    with pytest.raises(TooManyRequests):
        await checker.check("manifest:z", None)
    may_go.set()
    assert [(await task).items for task in (first, second)] == [1, 1]


async def test_a_source_that_lists_nothing_in_time_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Silent:
        async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
            await asyncio.Event().wait()
            yield Page([], None)

    monkeypatch.setattr(source_check, "DEADLINE_S", 0.0)
    with pytest.raises(SourceUnavailable, match="no row within"):
        await check_source(Silent(), "catalog:x", "nike")
