"""Facets on Postgres: one pass over the snapshot for all facets that have the same filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from typing_extensions import override

from triptych.database.session import Database
from triptych.database.statements import statements
from triptych.errors import SearchUnavailable
from triptych.snapshots.facet_store import FACETS_SCAN, FacetStore
from triptych.snapshots.facets import (
    BUCKETS_MAX,
    COLUMN_PREFIX,
    COLUMNS_MAX,
    COLUMNS_SAMPLE,
    ColumnShown,
    FacetCount,
    FacetShown,
    FacetsShown,
    FacetsWanted,
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
from triptych.snapshots.postgres.asset_classes import with_classes
from triptych.snapshots.postgres.asset_filter import condition
from triptych.snapshots.postgres.postgres_snapshots import check_kept
from triptych.snapshots.snapshot_store import AssetFilter


@dataclass(frozen=True, slots=True)
class _Counted:
    tally: Tally
    values: Sequence[tuple[str, int]]
    left: int
    """Values from the first of these on."""


class PostgresFacetStore(FacetStore):
    """`FacetStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def facets(
        self, run_id: UUID, wanted: FacetsWanted, *, scan: int = FACETS_SCAN
    ) -> FacetsShown:
        found = await self._facets([run_id], wanted, scan, run_id)
        if not found.assets:
            await check_kept(self._database, run_id)
        return found

    @override
    async def facets_anywhere(
        self,
        wanted: FacetsWanted,
        *,
        among: frozenset[str] | None = None,
        scan: int = FACETS_SCAN,
    ) -> FacetsShown:
        return await self._facets(await self._current_runs(among), wanted, scan, None)

    async def _current_runs(self, among: frozenset[str] | None) -> Sequence[UUID]:
        names = None if among is None else sorted(among)
        return [row["run_id"] for row in await self._database.rows("facet_runs", names)]

    async def _facets(
        self, run_ids: Sequence[UUID], wanted: FacetsWanted, scan: int, run: UUID | None
    ) -> FacetsShown:
        """Count; the assets to look at are shared out evenly among the snapshots."""
        each = max(1, scan // max(1, len(run_ids)))
        async with self._database.connection() as connection, connection.transaction():
            await connection.fetch(
                "select set_config('statement_timeout', $1, true)", f"{wanted.deadline_s * 1e3:.0f}"
            )
            reading = _Reading(connection, list(run_ids), each, wanted)
            try:
                (sizes,) = await reading.fetch("facet_sizes", reading.run_ids, each)
                columns = await reading.columns()
                assets, counted = await reading.all()
                shown = [await reading.shown(name, counted[name]) for name in wanted.names]
            except asyncpg.QueryCanceledError as error:
                raise SearchUnavailable(
                    f"Counting took longer than {wanted.deadline_s:g} s.",
                    remedy="Ask for fewer facets, or of one brand.",
                ) from error
        looked_at, of = sizes["looked_at"], sizes["assets"]
        return FacetsShown(run, assets, looked_at, of, looked_at == of, shown, columns)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The statements of one answer, in one transaction."""

    connection: asyncpg.Connection
    run_ids: list[UUID]
    each: int
    """Assets of a snapshot that are looked at."""
    wanted: FacetsWanted

    async def fetch(self, name: str, *args: object) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self.connection.fetch(statements()[name], *args)
        return found

    async def columns(self) -> list[ColumnShown]:
        rows = await self.fetch("facet_columns", self.run_ids, COLUMNS_SAMPLE, COLUMNS_MAX)
        return [ColumnShown(row["name"], row["assets"]) for row in rows]

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
        """Count the facets that have one filter, in one pass."""
        after = self.wanted.after
        position = (None, None) if after is None else (after.count, after.value)
        args: list[object] = [self.run_ids, self.each, *position, self.wanted.limit]
        head = self._matched(matching, names, args)
        parts = [statements()["facet_total"]]
        for number in range(len(names)):
            parts += [
                statements()[part].replace(":number", str(number))
                for part in ("facet_tally", "facet_values")
            ]
        if not names:  # They are mentioned nowhere else.
            parts[0] += " where $3::bigint is null and $4::text is null and $5::integer is not null"
        rows = await self.connection.fetch(head + "\nunion all\n".join(parts), *args)
        tallies: dict[int, Tally] = {}
        values: dict[int, list[tuple[str, int]]] = {}
        left: dict[int, int] = {}
        total = 0
        for row in rows:
            if row["facet"] == -1:
                total = row["assets"]
            elif row["value"] is None:
                tallies[row["facet"]] = _tally(row)
            else:
                values.setdefault(row["facet"], []).append((row["value"], row["assets"]))
                left[row["facet"]] = row["distinct_values"]
        return total, {
            name: _Counted(tallies[number], values.get(number, []), left.get(number, 0))
            for number, name in enumerate(names)
        }

    def _matched(self, matching: AssetFilter, names: Sequence[str], args: list[object]) -> str:
        """Return what the statement begins with; its values are added to ``args``."""
        facets = []
        for number, name in enumerate(names):
            sql = _facet_sql(name)
            if name.startswith(COLUMN_PREFIX):
                args.append(name.removeprefix(COLUMN_PREFIX))
                sql = sql.replace(":1", f"${len(args)}")
            facets.append(f"{sql} as f{number}")
        where = condition(matching, after=len(args))
        args.extend(where.values)
        head = statements()["facet_matched"].replace(":facets", ", ".join(facets) or "1")
        return where.within(head) + "\n"

    async def shown(self, name: str, counted: _Counted) -> FacetShown:
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
        rows = await self._buckets("facet_numbers", name, width)
        counts = [number_count(name, row["bucket"], width, row["assets"]) for row in rows]
        return counts, _cut(rows)

    async def _days(self, name: str, tally: Tally) -> tuple[list[FacetCount], int]:
        rows = await self._buckets("facet_days", name, day_digits(tally))
        counts = [day_count(name, row["bucket"], row["assets"]) for row in reversed(rows)]
        return counts, _cut(rows)

    async def _buckets(self, statement: str, name: str, measure: float) -> Sequence[asyncpg.Record]:
        args: list[object] = [self.run_ids, self.each, measure, BUCKETS_MAX]
        head = self._matched(without_own(self.wanted.matching, name), [name], args)
        found: Sequence[asyncpg.Record] = await self.connection.fetch(
            head + statements()[statement], *args
        )
        return found


def _cut(rows: Sequence[asyncpg.Record]) -> int:
    """Return how many buckets there are beside these."""
    return rows[0]["buckets"] - len(rows) if rows else 0


def _facet_sql(name: str) -> str:
    own = "column" if name.startswith(COLUMN_PREFIX) else name
    return with_classes(statements()[f"facet_{own}"])


def _tally(row: asyncpg.Record) -> Tally:
    return Tally(
        without=row["without"],
        distinct=row["distinct_values"],
        total=row["total"],
        numbers=row["numbers"],
        days=row["days"],
        low=row["low"],
        high=row["high"],
        months=row["months"],
        different_days=row["different_days"],
    )
