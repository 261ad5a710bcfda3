"""Facets on MongoDB: one pass over an edition for all facets that have the same filter.

Where the assets have few different values, the pass sends them all, and they are tallied here.
Where they have many, the database tallies them, and sends the most frequent only.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import pymongo.errors
from pymongo import ASCENDING
from typing_extensions import override

from triptych.errors import SearchUnavailable
from triptych.reads.mongo.brand_documents import Visible
from triptych.reads.mongo.connection import MongoConnection, query_ms
from triptych.reads.mongo.documents import Document
from triptych.reads.mongo.facet_pipelines import (
    EVERY,
    MONTH,
    by_day,
    by_number,
    by_value,
    days_and_months,
    how_many,
    most_frequent,
    tallies,
    values_of,
)
from triptych.reads.mongo.mongo_filter import Stage, filter_stages
from triptych.reads.mongo.visible_editions import VisibleEditions
from triptych.reads.projection import Lowers
from triptych.snapshots.asset_classes import day_in, number_in
from triptych.snapshots.facet_store import FACETS_SCAN, FacetStore
from triptych.snapshots.facets import (
    BUCKETS_MAX,
    COLUMNS_MAX,
    COLUMNS_SAMPLE,
    ColumnShown,
    FacetCount,
    FacetShown,
    FacetsShown,
    FacetsWanted,
    Position,
    Tally,
    bucket_width,
    day_count,
    day_digits,
    kind_of,
    number_count,
    shown_histogram,
    shown_values,
    without_own,
)
from triptych.snapshots.snapshot_store import AssetFilter

VALUES_SENT_MAX = 5_000
"""Different values that a pass sends. If there are more, the database tallies them."""
DAYS_SENT_MAX = 10_000
"""Buckets of days that are sent: there are no more years that a date can have."""
BOUNDS_KEPT = 10_000
"""Keys that are remembered: the one behind which no more assets of an edition are looked at."""
BOUNDS_AT_ONCE = 8


class MongoFacetStore(FacetStore):
    """`FacetStore` on MongoDB."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection
        self._editions = VisibleEditions(connection)
        self._bounds: OrderedDict[tuple[str, int], str | None] = OrderedDict()

    @override
    async def facets(
        self, run_id: UUID, wanted: FacetsWanted, *, scan: int = FACETS_SCAN
    ) -> FacetsShown:
        async with self._within(wanted):
            visible = await self._editions.of_run(run_id)
            return await self._facets([visible], wanted, scan, run_id)

    @override
    async def facets_anywhere(
        self,
        wanted: FacetsWanted,
        *,
        among: frozenset[str] | None = None,
        scan: int = FACETS_SCAN,
    ) -> FacetsShown:
        async with self._within(wanted):
            found = await self._editions.all(among)
            return await self._facets(found, wanted, scan, None)

    @asynccontextmanager
    async def _within(self, wanted: FacetsWanted) -> AsyncIterator[None]:
        """End what takes longer than was asked for; a shorter deadline of the connection's stays.

        Raises:
            SearchUnavailable: it does.
            ReadsUnavailable: as `MongoConnection.reading` says.
        """
        try:
            async with self._connection.reading(), _ended(wanted.deadline_s):
                yield
        except _TooLongError as error:
            raise SearchUnavailable(
                f"Counting took longer than {wanted.deadline_s:g} s.",
                remedy="Ask for fewer facets, or of one brand.",
            ) from error

    async def _facets(
        self, editions: Sequence[Visible], wanted: FacetsWanted, scan: int, run: UUID | None
    ) -> FacetsShown:
        """Count; the assets to look at are shared out evenly among the editions."""
        each = max(1, scan // max(1, len(editions)))
        matching = wanted.matching
        lowers = "ascii" if matching.text is None else await self._editions.lowers()
        which = await self._first_of(editions, each)
        counting = _Counting(self._connection, which, wanted, lowers)
        columns = await self._columns(editions)
        assets, counted = await counting.all()
        shown = [await counting.shown(name, counted[name]) for name in wanted.names]
        await self._editions.still(editions)
        looked_at = sum(min(visible.assets, each) for visible in editions)
        of = sum(visible.assets for visible in editions)
        return FacetsShown(run, assets, looked_at, of, looked_at == of, shown, columns)

    async def _first_of(self, editions: Sequence[Visible], each: int) -> Document:
        """Return the condition on the first ``each`` assets of each edition."""
        small = [visible.edition.name for visible in editions if visible.assets <= each]
        large = [visible for visible in editions if visible.assets > each]
        conditions: list[Document] = []
        if small or not large:
            conditions.append({"edition": small[0] if len(small) == 1 else {"$in": small}})
        for start in range(0, len(large), BOUNDS_AT_ONCE):
            some = large[start : start + BOUNDS_AT_ONCE]
            bounds = await asyncio.gather(*(self._bound(visible, each) for visible in some))
            conditions += [
                {"edition": visible.edition.name, **({} if key is None else {"key": {"$lt": key}})}
                for visible, key in zip(some, bounds, strict=True)
            ]
        return conditions[0] if len(conditions) == 1 else {"$or": conditions}

    async def _bound(self, visible: Visible, each: int) -> str | None:
        """Return the key of the first asset that is not looked at; it never changes."""
        name = (visible.edition.name, each)
        if name not in self._bounds:
            cursor = self._connection.collection("assets").find(
                {"edition": visible.edition.name}, {"key": 1, "_id": 0}, max_time_ms=query_ms()
            )
            found = await cursor.sort("key", ASCENDING).skip(each).limit(1).to_list()
            self._bounds[name] = found[0]["key"] if found else None
        self._bounds.move_to_end(name)
        key = self._bounds[name]
        if len(self._bounds) > BOUNDS_KEPT:
            self._bounds.popitem(last=False)
        return key

    async def _columns(self, editions: Sequence[Visible]) -> list[ColumnShown]:
        """Name the metadata columns of a sample: the first assets of the first editions."""
        sampled: list[Document] = []
        left = COLUMNS_SAMPLE
        for visible in editions:
            if left > 0 and visible.assets:
                sampled.append(await self._first_of([visible], left))
                left -= visible.assets
        if not sampled:
            return []
        names = {"input": "$columns", "as": "each", "in": "$$each.c"}
        pipeline: list[Stage] = [
            {"$match": sampled[0] if len(sampled) == 1 else {"$or": sampled}},
            {"$project": {"_id": 0, "c": {"$map": names}}},
            {"$unwind": "$c"},
            {"$group": {"_id": "$c", "n": {"$sum": 1}}},
            {"$sort": {"n": -1, "_id": 1}},
            {"$limit": COLUMNS_MAX},
        ]
        assets = self._connection.collection("assets")
        found = await assets.aggregate(pipeline, maxTimeMS=query_ms())
        return [ColumnShown(row["_id"], row["n"]) async for row in found]


class _TooLongError(Exception):
    pass


@asynccontextmanager
async def _ended(deadline_s: float) -> AsyncIterator[None]:
    ends = time.monotonic() + deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except (TimeoutError, pymongo.errors.ExecutionTimeout) as error:
        if time.monotonic() < ends:
            raise  # Another deadline: the connection's own.
        raise _TooLongError from error


@dataclass(frozen=True, slots=True)
class _Counted:
    tally: Tally
    values: Sequence[tuple[str, int]]
    left: int
    """Values from the first of these on."""


@dataclass(frozen=True, slots=True)
class _Counting:
    """The queries of one answer."""

    connection: MongoConnection
    which: Document
    """The assets that are looked at."""
    wanted: FacetsWanted
    lowers: Lowers

    async def _rows(
        self, matching: AssetFilter, names: Sequence[str], stages: Sequence[Stage]
    ) -> list[Document]:
        pipeline: list[Stage] = [
            {"$match": self.which},
            *filter_stages(matching, self.lowers),
            *values_of(names),
            *stages,
        ]
        assets = self.connection.collection("assets")
        longest_ms = min(query_ms(), max(1, int(self.wanted.deadline_s * 1000)))
        return await (await assets.aggregate(pipeline, maxTimeMS=longest_ms)).to_list()

    async def all(self) -> tuple[int, dict[str, _Counted]]:
        """Return how many assets match, and each facet's counts."""
        wanted = self.wanted
        groups: dict[AssetFilter, list[str]] = {wanted.matching: []}
        for name in wanted.names:
            groups.setdefault(without_own(wanted.matching, name), []).append(name)
        counted: dict[str, _Counted] = {}
        assets = 0
        for matching, names in groups.items():
            total, found = await self._group(matching, names)
            counted |= found
            if matching == wanted.matching:
                assets = total
        return assets, counted

    async def _group(
        self, matching: AssetFilter, names: Sequence[str]
    ) -> tuple[int, Mapping[str, _Counted]]:
        """Count the facets that have one filter."""
        stages = [*by_value(), {"$limit": VALUES_SENT_MAX + 1}]
        rows = await self._rows(matching, names, stages)
        if len(rows) > VALUES_SENT_MAX:
            return await self._tallied_there(matching, names)
        counts: list[Counter[str]] = [Counter() for _ in names]
        without = [0] * len(names)
        total = 0
        for row in rows:
            number, value = row["_id"]["f"], row["_id"].get("v")
            if number == EVERY:
                total = row["c"]
            elif value is None:
                without[number] = row["c"]
            else:
                counts[number][value] = row["c"]
        return total, {
            name: _counted_here(counts[number], without[number], self.wanted)
            for number, name in enumerate(names)
        }

    async def _tallied_there(
        self, matching: AssetFilter, names: Sequence[str]
    ) -> tuple[int, Mapping[str, _Counted]]:
        rows = {
            row["_id"]: row for row in await self._rows(matching, names, [*by_value(), *tallies()])
        }
        total = rows[EVERY]["without"] if EVERY in rows else 0
        found = {}
        for number, name in enumerate(names):
            tally = await self._tally(matching, name, rows.get(number))
            values: Sequence[tuple[str, int]] = []
            left = 0
            if kind_of(name, tally) == "values":
                values, left = await self._most_frequent(matching, name, tally)
            found[name] = _Counted(tally, values, left)
        return total, found

    async def _tally(self, matching: AssetFilter, name: str, row: Document | None) -> Tally:
        if row is None:
            return _tally(Counter(), 0)
        months = days = 0
        if row["days"]:
            for each in await self._rows(matching, [name], days_and_months()):
                months, days = each["months"], each["days"]
        return Tally(
            without=row["without"],
            distinct=row["distinct"],
            total=row["total"],
            numbers=row["numbers"],
            days=row["days"],
            low=row["low"],
            high=row["high"],
            months=months,
            different_days=days,
        )

    async def _most_frequent(
        self, matching: AssetFilter, name: str, tally: Tally
    ) -> tuple[Sequence[tuple[str, int]], int]:
        after, limit = self.wanted.after, self.wanted.limit
        rows = await self._rows(matching, [name], most_frequent(limit, after))
        values = [(row["_id"], row["c"]) for row in rows]
        if after is None:
            return values, tally.distinct
        left = await self._rows(matching, [name], how_many(after))
        return values, left[0]["c"] if left else 0

    async def shown(self, name: str, counted: _Counted) -> FacetShown:
        """Return a facet as it is shown: by values, or as a histogram."""
        tally = counted.tally
        kind = kind_of(name, tally)
        if kind == "values":
            return shown_values(name, tally, counted.values, left=counted.left)
        buckets = self._numbers if kind == "numbers" else self._days
        counts, more = await buckets(name, tally)
        return shown_histogram(name, kind, tally, counts, more=more)

    async def _numbers(self, name: str, tally: Tally) -> tuple[list[FacetCount], int]:
        assert tally.low is not None
        assert tally.high is not None
        width = bucket_width(tally.low, tally.high)
        own = without_own(self.wanted.matching, name)
        buckets: Counter[int] = Counter()
        # A server may count -0.0 apart from 0.0.
        for row in await self._rows(own, [name], by_number(width)):
            buckets[int(row["_id"])] += row["c"]
        first = sorted(buckets.items())[:BUCKETS_MAX]
        counts = [number_count(name, bucket, width, count) for bucket, count in first]
        return counts, len(buckets) - len(first)

    async def _days(self, name: str, tally: Tally) -> tuple[list[FacetCount], int]:
        own = without_own(self.wanted.matching, name)
        rows = await self._rows(own, [name], by_day(day_digits(tally), DAYS_SENT_MAX))
        latest = rows[:BUCKETS_MAX]
        counts = [day_count(name, row["_id"], row["c"]) for row in reversed(latest)]
        return counts, len(rows) - len(latest)


def _counted_here(counts: Counter[str], without: int, wanted: FacetsWanted) -> _Counted:
    tally = _tally(counts, without)
    values = sorted(counts.items(), key=_order)
    if wanted.after is not None:
        values = [each for each in values if _order(each) > _place(wanted.after)]
    return _Counted(tally, values[: wanted.limit], len(values))


def _order(counted: tuple[str, int]) -> tuple[int, bytes]:
    """Return what values are ordered by: the most frequent first, equals by their bytes."""
    return -counted[1], counted[0].encode()


def _place(after: Position) -> tuple[int, bytes]:
    return _order((after.value, after.count))


def _tally(counts: Counter[str], without: int) -> Tally:
    numbers = {value: number for value in counts if (number := number_in(value)) is not None}
    dated = {value: day for value in counts if (day := day_in(value)) is not None}
    return Tally(
        without=without,
        distinct=len(counts),
        total=counts.total(),
        numbers=_sum(counts, numbers),
        days=_sum(counts, dated),
        low=min(numbers.values(), default=None),
        high=max(numbers.values(), default=None),
        months=len({day[:MONTH] for day in dated.values()}),
        different_days=len(set(dated.values())),
    )


def _sum(counts: Mapping[str, int], values: Iterable[str]) -> int:
    return sum(counts[value] for value in values)
