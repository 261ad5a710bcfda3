"""URLs that came with a request, as the source of a run."""

from __future__ import annotations

import pytest

from triptych.errors import SourceRefused
from triptych.gather.given_source import GivenSource, KeptSource
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_check import check_source
from triptych.runs.given_urls import GivenUrl, decode_urls, encode_urls, source_of
from triptych.testing.memory_stores import memory_stores

URLS = [GivenUrl(f"https://x.example/{n}", {"n": n}) for n in range(5)]


async def read(source: Source, cursor: str | None = None) -> list[Page]:
    return [page async for page in source.pages("nike", cursor)]


async def test_they_are_listed_in_pages_and_continued_in_the_middle() -> None:
    source = GivenSource(URLS, page_rows=2)
    pages = await read(source)
    assert [page.cursor for page in pages] == ["2", "4", None]
    rows = [row for page in pages for row in page.rows]
    assert rows == [Row(one.url, one.metadata, f"urls[{n}]") for n, one in enumerate(URLS)]
    assert await read(source, "2") == pages[1:]
    (past,) = await read(source, "5")
    assert (past.rows, past.cursor) == ([], None)


async def test_each_is_counted_as_a_row_of_a_list_is() -> None:
    given = [
        GivenUrl("https://x.example/1", {"a": 1}),
        GivenUrl(" "),
        GivenUrl("https://x.example/1", {"a": 2}),
        GivenUrl("ftp://x.example/2"),
    ]
    found = await check_source(GivenSource(given, page_rows=3), "urls:x", None)
    assert (found.rows_read, found.items, found.rows_merged, found.rows_refused) == (4, 2, 1, 1)
    assert found.rows_read == found.items + found.rows_merged + found.rows_refused
    told = {problem.outcome: (problem.count, problem.places) for problem in found.problems}
    assert told == {"refused": (1, ["urls[1]"]), "failed": (1, ["urls[3]"])}
    assert found.whole


async def test_what_is_kept_is_read_again_and_what_is_not_is_refused() -> None:
    brands = memory_stores().brands
    spec = await brands.keep_urls("nike", URLS)
    (page,) = await read(KeptSource(brands, spec, page_rows=10))
    assert [row.url for row in page.rows] == [one.url for one in URLS]
    with pytest.raises(SourceRefused, match="no such URLs any more"):
        await read(KeptSource(brands, "urls:00", page_rows=10))


def test_the_same_urls_are_the_same_source() -> None:
    other = [GivenUrl("https://x", {"b": 1, "a": [2]}), GivenUrl("https://y")]
    again = [GivenUrl("https://x", {"a": [2], "b": 1}), GivenUrl("https://y")]
    assert source_of(encode_urls(other)) == source_of(encode_urls(again))
    assert source_of(encode_urls(other)) != source_of(encode_urls(other[::-1]))
    assert decode_urls(encode_urls(other)) == other
