"""`collect` reads a source whole, and again from every cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import SourceRefused
from triptych.gather.source import Page, Row, Source
from triptych.gather.sources.catalog import CATALOG
from triptych.gather.sources.manifest import MANIFEST
from triptych.testing.collect import collect, opened


class Listed(Source):
    """Pages as they are given, by the number that a cursor is."""

    def __init__(self, *pages: Page, skips: int = 0) -> None:
        self.given = pages
        self.skips = skips

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        start = 0 if cursor is None else int(cursor) + self.skips
        for page in self.given[start:]:
            yield page


def page(url: str, cursor: str | None, metadata: dict[str, Any] | None = None) -> Page:
    return Page([Row(url, metadata or {})], cursor)


async def test_all_pages_are_read() -> None:
    found = await collect(Listed(page("a", "1"), page("b", "2"), page("c", None)))
    assert found.urls == ["a", "b", "c"]
    assert len(found.pages) == 3
    assert (await collect(Listed())).rows == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Listed(page("a", "1"), page("b", "2"), page("c", None), skips=1), "other rows follow"),
        (Listed(page("a", "1")), "must have a cursor, unless it is the last one"),
        (Listed(page("a", None), page("b", None)), "must have a cursor, unless it is the last one"),
        (Listed(page("a", None, {"x": object()})), "metadata of a is no JSON"),
    ],
    ids=["skips", "ends early", "no cursor", "no JSON"],
)
async def test_what_breaks_the_contract_is_named(source: Source, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        await collect(source)


@pytest.mark.integration
async def test_our_own_sources_go_on_from_every_cursor(tmp_path: Path) -> None:
    urls = [f"https://x.example/{n}" for n in range(7)]
    (tmp_path / "urls.csv").write_text("\n".join(["url", *urls]))
    async with opened(MANIFEST, str(tmp_path / "urls.csv"), page_rows=3) as source:
        found = await collect(source)
    assert found.urls == urls
    assert [len(one.rows) for one in found.pages] == [3, 3, 1]


async def test_a_place_that_is_none_is_refused() -> None:
    with pytest.raises(SourceRefused, match="The address of a catalogue service"):
        async with opened(CATALOG, "ftp://x"):
            pass
