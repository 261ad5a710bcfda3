"""`ProjectionStore` on Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from typing_extensions import override

from triptych.database.rows import (
    brand_not_found,
    to_asset,
    to_brand,
    to_insight,
    to_marks,
    to_run,
)
from triptych.database.session import Database
from triptych.reads.edition import (
    SNAPSHOTS_MAX,
    BrandRow,
    Edition,
    EditionAsset,
    EditionWhole,
)
from triptych.reads.projection import Lowers
from triptych.reads.projection_store import Claim, ProjectionState, ProjectionStore
from triptych.runs.run_shown import BrandShown, RunShown
from triptych.snapshots.brand_map import POINTS_MAX, encode_map
from triptych.snapshots.search_store import SearchStore
from triptych.snapshots.snapshot_store import COVERS_MAX, COVERS_SCAN

STALE_S = 5.0
"""Seconds after which a brand that is not shown as it is now counts as behind."""


class PostgresProjectionStore(ProjectionStore):
    """`ProjectionStore` on Postgres."""

    def __init__(self, database: Database, search: SearchStore) -> None:
        """``search`` has the points of maps; not on a replica, which may be behind."""
        self._database = database
        self._search = search

    @override
    async def lowers(self) -> Lowers:
        (row,) = await self._database.rows("projection_lowers")
        return "unicode" if row["unicode"] else "ascii"

    @override
    async def last_target(self) -> UUID | None:
        rows = await self._database.rows("last_target")
        return rows[0]["target"] if rows else None

    @override
    async def take_turn(self, name: str, *, every_s: float) -> bool:
        return bool(await self._database.rows("take_turn", name, every_s))

    @override
    async def now(self) -> datetime:
        (row,) = await self._database.rows("clock")
        at: datetime = row["now"]
        return at

    @override
    async def changed_brands(
        self, target: UUID, *, since: datetime | None, limit: int
    ) -> Sequence[BrandRow]:
        rows = await self._database.rows("changed_brands", target, since, limit)
        return await self._brand_rows([row["name"] for row in rows])

    @override
    async def note_brands(self, target: UUID, rows: Sequence[BrandRow]) -> None:
        names = [row.shown.name for row in rows]
        versions = [row.shown.version for row in rows]
        await self._database.rows("note_brands", target, names, versions)

    @override
    async def brand_row(self, brand: str) -> BrandRow | None:
        found = await self._brand_rows([brand])
        return found[0] if found else None

    async def _brand_rows(self, names: Sequence[str]) -> Sequence[BrandRow]:
        if not names:
            return []
        # The rows first: what changes in between has a later version, and is read again.
        rows = await self._database.rows("brand_rows", names)
        kept: dict[str, list[RunShown]] = {name: [] for name in names}
        for row in await self._database.rows("brand_snapshots", names, SNAPSHOTS_MAX + 1):
            kept[row["brand"]].append(RunShown.of(to_run(row)))
        return [_brand_row(row, kept) for row in rows]

    @override
    async def want(self, target: UUID) -> None:
        await self._database.rows("forget_targets", target)
        await self._database.rows("want_editions", target)

    @override
    async def claim(
        self, target: UUID, *, holder: UUID, lease_s: float, grace_s: float
    ) -> Claim | None:
        rows = await self._database.rows("claim_projection", target, holder, lease_s, grace_s)
        if not rows:
            return None
        (row,) = rows
        return Claim(
            row["brand"],
            _edition(row, "wanted"),
            row["behind"],
            row["written_to"],
            row["written"],
            holder,
            target,
        )

    @override
    async def page(
        self, brand: str, edition: Edition, *, after: bytes, limit: int
    ) -> Sequence[EditionAsset] | None:
        rows = await self._database.rows("edition_page", edition.run, after, limit)
        if not await self._is_newest(brand, edition):
            return None
        return [
            EditionAsset(to_asset(row), to_marks(row), row["first_seen"], row["searched"])
            for row in rows
        ]

    @override
    async def whole(self, brand: str, edition: Edition) -> EditionWhole | None:
        rows = await self._database.rows("insights", edition.run)
        points = None
        if edition.ai:
            points = await self._search.points(edition.run, limit=POINTS_MAX)
        covers = await self._database.rows("brand_covers", [brand], COVERS_MAX, COVERS_SCAN)
        row = await self.brand_row(brand)
        if row is None or not covers or not await self._is_newest(brand, edition):
            return None
        return EditionWhole(
            row.shown.assets,
            [to_insight(each) for each in rows],
            None if points is None else encode_map(edition.run, points),
            covers[0]["keys"],
        )

    async def _is_newest(self, brand: str, edition: Edition) -> bool:
        (row,) = await self._database.rows("is_newest_edition", brand, edition.run, edition.ai)
        return bool(row["newest"])

    @override
    async def advance(self, claim: Claim, *, after: bytes, written: int, lease_s: float) -> bool:
        assert claim.edition is not None
        edition = (claim.edition.run, claim.edition.ai)
        return bool(
            await self._database.rows(
                "advance_projection", *_held(claim), *edition, after, written, lease_s
            )
        )

    @override
    async def shown(self, claim: Claim) -> None:
        assert claim.edition is not None
        edition = claim.edition
        await self._database.rows(
            "projection_shown", *_held(claim), edition.run, edition.committed, edition.ai
        )

    @override
    async def release(self, claim: Claim) -> None:
        await self._database.rows("release_projection", *_held(claim))

    @override
    async def dropped(self, claim: Claim) -> None:
        await self._database.rows("older_dropped", *_held(claim))

    @override
    async def forgotten(self, claim: Claim) -> None:
        await self._database.rows("brand_forgotten", *_held(claim))
        await self._database.rows("drop_gone_projection", claim.target, claim.brand)

    @override
    async def recorded(self, target: UUID) -> Mapping[str, Edition]:
        rows = await self._database.rows("shown_editions", target)
        found = {row["brand"]: _edition(row, "shown") for row in rows}
        return {brand: edition for brand, edition in found.items() if edition is not None}

    @override
    async def unknown(self, target: UUID, brands: Sequence[str]) -> Sequence[str]:
        rows = await self._database.rows("unknown_brands", target, list(brands))
        return [row["name"] for row in rows]

    @override
    async def mistaken(self, target: UUID, brands: Sequence[str]) -> None:
        await self._database.rows("mistaken_projections", target, list(brands))

    @override
    async def behind(self, target: UUID) -> Mapping[str, float | None]:
        return {
            row["brand"]: None if row["hidden"] else row["seconds"]
            for row in await self._database.rows("projections_behind", target, STALE_S)
        }

    @override
    async def states(self, target: UUID, *, after: str, limit: int) -> Sequence[ProjectionState]:
        rows = await self._database.rows("projection_states", target, after, limit)
        return [ProjectionState(**dict(row)) for row in rows]

    @override
    async def rebuild(self, target: UUID, brand: str | None) -> int:
        await self.want(target)
        rows = await self._database.rows("rebuild_projections", target, brand)
        if brand is not None and not rows:
            raise brand_not_found(brand)
        return len(rows)


def _held(claim: Claim) -> tuple[UUID, str, UUID]:
    return claim.target, claim.brand, claim.holder


def _edition(row: asyncpg.Record, which: str) -> Edition | None:
    if row[f"{which}_run"] is None:
        return None
    return Edition(row[f"{which}_committed"], row[f"{which}_ai"], row[f"{which}_run"])


def _brand_row(row: asyncpg.Record, kept: Mapping[str, Sequence[RunShown]]) -> BrandRow:
    shown = BrandShown.of(to_brand(row), schedule=row["schedule"], due_at=row["due_at"])
    snapshots = kept[shown.name]
    return BrandRow(
        shown, row["searched"], snapshots[:SNAPSHOTS_MAX], len(snapshots) > SNAPSHOTS_MAX
    )
