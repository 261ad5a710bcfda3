"""Lists that people have. A row: the public report, the input, and what a run takes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from triptych.errors import SourceRefused
from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import TransportPool
from triptych.gather.source_check import SourceCheck, check_source
from triptych.gather.source_registry import SourceRegistry
from triptych.shown_url import without_credentials

pytestmark = pytest.mark.integration

LISTS = Path(__file__).parent / "lists"
HOST = "http://127.0.0.1:9797"


@dataclass(frozen=True)
class Case:
    """A report and the right outcome; places are those of rows that are not simply fetched."""

    report: str
    file: str
    urls: tuple[str, ...] = ()
    """Of the first rows, below `HOST`; an empty one is a row without a URL."""
    rows: int = 0
    merged: int = 0
    refused: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    format: str = "CSV"
    encoding: str | None = "utf-8"
    note: str = ""
    metadata: dict[str, object] = field(default_factory=dict)
    """Of the first row."""


def pictures(*numbers: int) -> tuple[str, ...]:
    return tuple(f"/p{number}.jpg" for number in numbers)


CASES = [
    Case(
        "SpartnerNL/Laravel-Excel#2598",
        "utf16.txt",
        pictures(1),
        1,
        format="TSV",
        encoding="utf-16",
    ),
    Case(
        "tilo/smarter_csv#283",
        "unclosed.csv",
        (*pictures(1), "", *pictures(3, 4, 5, 6, 7, 8, 9)),
        9,
        failed=("line 3",),
    ),
    Case(
        "rom1504/img2dataset#318",
        "onecol-commas.csv",
        ("/c_fill,w_400,a.jpg", "/c_fill,w_400,b.jpg"),
        2,
        format="List of lines",
    ),
    Case("craftcms/feed-me#98", "headeronly.csv"),
    Case(
        "rom1504/img2dataset#244",
        "variants.csv",
        pictures(1, 1, 1, 2),
        4,
        merged=2,
        metadata={"sku": "S1", "colour": "red"},
    ),
    Case(
        "glific/glific#5657",
        "latin1.csv",
        ("/p1.jpg", "/%C3%BCber.jpg"),
        2,
        encoding="windows-1252",
        note="Windows-1252",
        metadata={"titel": "Gürtel für Männer", "farbe": "größe"},
    ),
    Case("rom1504/img2dataset#317", "merchant.tsv", pictures(1, 2, 3, 4), 4, format="TSV"),
    Case(
        "magento/magento2#7106", "shopify.csv", (*pictures(1, 2), ""), 3, refused=("line 4",)
    ),
    Case("rom1504/img2dataset#207", "capital.csv", pictures(1), 1, metadata={"Title": "Shoe"}),
    Case("magento/magento2#7826", "multi.csv", pictures(1, 2, 5), 3, metadata={"sku": "TS-1"}),
    Case(
        "craftcms/feed-me#596", "array.json", pictures(1, 2), 2, format="JSON array",
        metadata={"title": "a"},
    ),
    Case("craftcms/feed-me#596", "sitemap.xml", pictures(1), 1, format="Sitemap", encoding=None),
    Case("craftcms/feed-me#596", "plain.txt", pictures(1, 2), 2, format="List of lines"),
    Case(
        "Baseflow/flutter_cached_network_image#265",
        "rotating.csv",
        tuple(f"/v/p{n}.jpg?Expires=172&Signature=abc2{n}" for n in (1, 2, 3)),
        3,
        metadata={"sku": "S1"},
    ),
    Case("shancarter/mr-data-converter#52", "sep.csv", pictures(1), 1),
    Case(
        "pandas-dev/pandas#30716",
        "nan.jsonl",
        pictures(1, 2),
        2,
        format="JSON Lines",
        metadata={"price": None},
    ),
    Case(
        "rom1504/img2dataset#317 (parts)", "parts", pictures(1, 2), 2, format="Parquet",
        encoding=None,
    ),
]  # fmt: skip


async def checked(name: str) -> SourceCheck:
    transports = TransportPool(AddressGuard(), limit=1, user_agent="test")
    spec = f"manifest:{LISTS / name}"
    source = SourceRegistry.discover().open(spec, transports=transports, token=None, page_rows=100)
    return await check_source(source, spec, None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}, {case.report}")
async def test_a_list_from_the_field(case: Case) -> None:
    found = await checked(case.file)
    shown = [without_credentials(HOST + url).removeprefix(HOST) for url in case.urls]
    assert [row.url.removeprefix(HOST) for row in found.first_rows] == shown
    assert found.rows_read == found.items + found.rows_merged + found.rows_refused == case.rows
    assert found.rows_merged == case.merged
    places = {
        outcome: tuple(
            place for problem in found.problems if problem.outcome == outcome
            for place in problem.places
        )
        for outcome in ("refused", "failed")
    }  # fmt: skip
    assert places == {"refused": case.refused, "failed": case.failed}
    listed = found.lists[0]
    assert (listed.format, listed.encoding) == (case.format, case.encoding)
    assert case.note in " ".join(listed.notes)
    if case.metadata:
        assert found.first_rows[0].metadata == case.metadata


async def test_a_workbook_that_is_damaged_is_refused_by_name() -> None:
    """jazzband/tablib#108: a workbook is never read as text."""
    with pytest.raises(SourceRefused, match=r"feed\.xlsx: The workbook cannot be read"):
        await checked("feed.xlsx")


ODD = {
    "line 2": "https://127.0.0.1:9797/p1.jpg",  # //host/path
    "line 6": f"{HOST}/sp%20ace.jpg",
    "line 7": f"{HOST}/v/p3.jpg?w=1&amp;h=2",
    "line 8": f"{HOST}/100%.jpg",
    "line 10": f"{HOST}/p5.jpg",  # U+00A0 at its end
    "line 11": f"{HOST}/p6%E2%80%8B.jpg",  # U+200B, as browsers send it
    "line 17": f"{HOST}/p10.jpg",  # Without the fragment.
}


async def test_odd_urls_are_taken_as_browsers_take_them_or_fail_by_themselves() -> None:
    """VR51/Import-External-Images-2#9, Automattic/wp-calypso#38442."""
    found = await checked("oddurls.csv")
    assert (found.rows_read, found.items, found.rows_refused) == (19, 18, 1)
    # Whether the object of a bucket may be read is decided when it is acquired.
    assert found.items_failed == 18 - len(ODD) - 1
    first = {row.place: row.url for row in found.first_rows if row.problem is None}
    assert first == {place: url for place, url in ODD.items() if place in first}
    failed = {place for each in found.problems for place in each.places}
    assert not failed & set(ODD)
