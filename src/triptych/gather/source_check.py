"""Checking a source before a run: what it is, what a run would take of it, and what not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from triptych.errors import SourceUnavailable, TooManyRequests
from triptych.gather.object_reach import ObjectReach
from triptych.gather.object_url import ObjectUrl, is_object_url, parse_object_url
from triptych.gather.phase import new_item
from triptych.gather.source import ListFound, Page, Row, Sampled, Source
from triptych.gather.source_reach import SourceReach
from triptych.messages import URL_MAX_CHARS
from triptych.model import Metadata, Reason
from triptych.shown_url import (
    shown_text,
    shown_url,
    text_without_credentials,
    without_credentials,
)
from triptych.wire import Wire

ROWS_MAX = 100_000
"""Rows that a check reads at most; a longer source is judged by these."""
DEADLINE_S = 15.0
"""Seconds for which a check reads at most; then it reports what it has read."""
TURN_S = 30.0
"""Seconds for which a check waits for others."""
FIRST_ROWS = 10
PLACES_MAX = 10
"""Places that are named of each problem."""
PROBLEMS_MAX = 100
"""Different problems that are named; the rows of further ones are only counted."""
DETAIL_MAX_CHARS = 500
Refusal = Callable[[ObjectUrl], Awaitable[str | None]]
"""Returns why an object or a file may not be read for the source; None if it may."""


class CheckedRow(Wire, frozen=True):
    """A row as a run would take it."""

    place: str
    url: Annotated[str, Meta(description="In its normal form; empty if the row names none.")]
    metadata: Metadata
    problem: Annotated[str | None, Meta(description="Why it would be refused or fail.")]


class RowProblem(Wire, frozen=True):
    """Rows that would be refused, or fail without a request, for one reason."""

    problem: str
    outcome: Annotated[
        str,
        Meta(description="`refused`: no item; `failed`: an item that fails at once."),
    ]
    count: int
    places: Annotated[list[str], Meta(description="The first of them.")]


class SourceCheck(Wire, frozen=True):
    """What a source was found to be. Nothing was started.

    ``rows_read = items + rows_merged + rows_refused``.
    """

    source: str
    brand: Annotated[str | None, Meta(description="Null: rows of all brands.")]
    lists: Annotated[list[ListFound], Meta(description="Empty for a service.")]
    brands: Annotated[list[str], Meta(description="The first names in its brand column, if any.")]
    first_rows: list[CheckedRow]
    rows_read: int
    items: Annotated[int, Meta(description="Different URLs.")]
    rows_merged: Annotated[int, Meta(description="Rows whose URL another row has, too.")]
    rows_refused: Annotated[int, Meta(description="Rows that name no URL.")]
    items_failed: Annotated[int, Meta(description="Items that would fail without a request.")]
    problems: list[RowProblem]
    whole: Annotated[bool, Meta(description="All of it was read, not only its beginning.")]


class _Problem:
    def __init__(self) -> None:
        self.count = 0
        self.places: list[str] = []


class _Counts:
    """Counts rows as a run would."""

    def __init__(self, refusal: Refusal | None) -> None:
        self._refusal = refusal
        self.rows = self.refused = self.failed = 0
        self.first: list[CheckedRow] = []
        self.keys: set[bytes] = set()
        self.problems: dict[tuple[str, str], _Problem] = {}

    async def add(self, row: Row) -> None:
        self.rows += 1
        if row.refused:
            self.refused += 1
            self._show(row, "", row.metadata, row.refused)
            self._note("refused", row.refused, row.place)
            return
        item = new_item(row)
        problem = None
        if item.refused is not None:
            why = shown_text(row.problem or item.detail)
            problem = f"{item.refused.value}: {why}"[:DETAIL_MAX_CHARS]
        elif self._refusal is not None and is_object_url(item.url):
            refusal = await self._refusal(parse_object_url(item.url))
            if refusal is not None:
                problem = f"{Reason.ADDRESS_REFUSED.value}: {refusal}"[:DETAIL_MAX_CHARS]
        url = without_credentials(item.url) if row.url else ""
        self._show(row, url, item.metadata, problem)
        if item.key in self.keys:
            return
        self.keys.add(item.key)
        if problem is not None:
            self.failed += 1
            self._note("failed", problem, row.place or item.url)

    def _show(self, row: Row, url: str, metadata: Metadata, problem: str | None) -> None:
        if len(self.first) < FIRST_ROWS:
            self.first.append(CheckedRow(row.place, url, metadata, problem))

    def _note(self, outcome: str, problem: str, place: str) -> None:
        known = self.problems.get((outcome, problem))
        if known is None:
            if len(self.problems) >= PROBLEMS_MAX:
                problem = "Other problems."
            known = self.problems.setdefault((outcome, problem), _Problem())
        known.count += 1
        if len(known.places) < PLACES_MAX:
            known.places.append(without_credentials(place)[:URL_MAX_CHARS])


async def check_source(
    source: Source,
    spec: str,
    brand: str | None,
    *,
    samples: bool = False,
    refusal: Refusal | None = None,
) -> SourceCheck:
    """Read the beginning of a source, and report what a run would make of it.

    Args:
        source: is read from its start, at most `ROWS_MAX` rows and for `DEADLINE_S`.
        spec: how it was named; for the report.
        brand: the brand whose rows are read; None for those of all, where a source can tell.
        samples: whether to show what the columns of lists hold (`Sampled`).
        refusal: says which objects and files a worker would not read; None: they are not judged.

    Raises:
        SourceRefused, SourceUnavailable: as `Source.pages`.
    """
    counts, lists, brands = _Counts(refusal), list[ListFound](), dict[str, None]()
    whole = False
    if samples and isinstance(source, Sampled):
        source = source.sampled()
    pages = source.pages(brand or "", None)
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for page in pages:
                for row in page.rows:
                    await counts.add(row)
                lists = list(page.lists) or lists
                brands.update(dict.fromkeys(page.brands))
                if page.cursor is None:
                    whole = True
                if counts.rows >= ROWS_MAX:
                    break
    except TimeoutError as error:
        if not counts.rows:
            raise SourceUnavailable(f"It has listed no row within {DEADLINE_S:g} s.") from error
    finally:
        await _close(pages)
    return SourceCheck(
        source=spec,
        brand=brand,
        lists=[_shown(each) for each in lists],
        brands=list(brands),
        first_rows=counts.first,
        rows_read=counts.rows,
        items=len(counts.keys),
        rows_merged=counts.rows - counts.refused - len(counts.keys),
        rows_refused=counts.refused,
        items_failed=counts.failed,
        problems=[
            RowProblem(problem, outcome, each.count, each.places)
            for (outcome, problem), each in counts.problems.items()
        ],
        whole=whole,
    )


class SourceChecker:
    """Checks sources for callers that share a process: one at a time, as a parser may take 1 GiB.

    A caller whose turn does not come within `TURN_S` is refused.
    """

    def __init__(
        self, open_source: Callable[[str, bool], Source], reach: SourceReach | None = None
    ) -> None:
        self._open_source = open_source
        self._reach = reach
        self._turn = asyncio.Semaphore(1)

    async def check(
        self, spec: str, brand: str | None, *, trusted: bool = False, samples: bool = False
    ) -> SourceCheck:
        """Check the source that ``spec`` names: see `check_source`.

        ``trusted``: this machine's own user asks (`SourceReach`).

        Raises:
            TooManyRequests: others are being checked.
        """
        opened = partial(self._open_source, spec, trusted)
        return await self.check_opened(opened, spec, brand, trusted=trusted, samples=samples)

    async def check_opened(
        self,
        open_source: Callable[[], Source],
        spec: str,
        brand: str | None,
        *,
        trusted: bool = False,
        samples: bool = False,
    ) -> SourceCheck:
        """Check a source that ``spec`` does not say how to open: see `check`.

        Raises:
            TooManyRequests: others are being checked.
        """
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except TimeoutError as error:
            raise TooManyRequests(
                "Other sources are being checked.", retry_after_s=DEADLINE_S
            ) from error
        try:
            return await check_source(
                open_source(),
                shown_url(spec),
                brand,
                samples=samples,
                refusal=self._refusal(spec, brand, trusted=trusted),
            )
        finally:
            self._turn.release()

    def _refusal(self, spec: str, brand: str | None, *, trusted: bool) -> Refusal | None:
        if self._reach is None:
            return None

        async def named_by_this_user(_brand: str, _source: str) -> bool:
            return trusted

        reach = ObjectReach(self._reach, named_by_this_user)
        return partial(reach.refusal, brand=brand or "", source=spec)


def _shown(found: ListFound) -> ListFound:
    """Return what a list was found to be, without credentials in its samples."""
    samples = {
        name: [text_without_credentials(value) for value in values]
        for name, values in found.samples.items()
    }
    return msgspec.structs.replace(found, samples=samples)


async def _close(pages: AsyncIterator[Page]) -> None:
    """Let a source that is a generator close its files now."""
    close = getattr(pages, "aclose", None)
    if close is not None:
        await close()
