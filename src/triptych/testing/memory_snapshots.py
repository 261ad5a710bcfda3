"""Committed snapshots in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC
from uuid import UUID

import orjson
from typing_extensions import override

from triptych.errors import AssetNotFound
from triptych.model import (
    Age,
    Asset,
    Colour,
    Insight,
    Metadata,
    Run,
    RunState,
    Slice,
    Staged,
)
from triptych.snapshots.asset_classes import (
    colour_names,
    day_in,
    metadata_values,
    number_in,
    shape_of,
    size_of,
)
from triptych.snapshots.snapshot_store import (
    COVERS_MAX,
    COVERS_SCAN,
    AssetFilter,
    ColumnFilter,
    Difference,
    DifferenceCounts,
    NearColour,
    SnapshotStore,
    family_of,
)
from triptych.testing.memory_paging import newest_slice
from triptych.testing.memory_state import AssetRow, MemoryState, RunRow, to_asset


class MemorySnapshotStore(SnapshotStore):
    """`SnapshotStore` in memory. Snapshots are never garbage-collected."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    @override
    async def known_assets(self, brand: str, keys: Sequence[bytes]) -> dict[bytes, Staged]:
        row = self._state.snapshot_row(brand)
        assets = {} if row is None else row.assets
        found = {key: assets[key] for key in keys if key in assets}
        return {key: replace(asset.staged, url=asset.url) for key, asset in found.items()}

    @override
    async def assets(self, run_id: UUID, *, after: bytes | None, limit: int) -> Sequence[Asset]:
        row = self._state.run_row(run_id)
        keys = [key for key in row.assets if after is None or key > after]
        return [to_asset(row.run, key, row.assets[key]) for key in keys[:limit]]

    @override
    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Asset]:
        row = self._state.runs.get(run_id)
        if row is None:
            return {}
        return {k: to_asset(row.run, k, row.assets[k]) for k in keys if k in row.assets}

    @override
    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[Sequence[Asset]]:
        after: bytes | None = None
        while page := await self.assets(run_id, after=after, limit=batch):
            yield page
            after = page[-1].key

    @override
    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        row = self._state.run_row(run_id)
        found = [
            key
            for key, asset in row.assets.items()
            if key > after and _matches(asset, row.marks.get(key, {}), matching)
        ]
        page = [to_asset(row.run, key, row.assets[key], embedding=False) for key in found[:limit]]
        return Slice(page, found[limit - 1] if len(found) > limit else None)

    @override
    async def asset(self, brand: str, key: bytes, *, run_id: UUID | None = None) -> Asset:
        row = self._state.snapshot_row(brand) if run_id is None else self._state.run_row(run_id)
        if row is None or row.run.brand != brand or key not in row.assets:
            raise AssetNotFound(
                f"The snapshot of brand {brand!r} has no such asset.",
                remedy="List the brand's assets; one that a re-run dropped is in older snapshots.",
            )
        return to_asset(row.run, key, row.assets[key], embedding=False)

    @override
    async def asset_and_marks(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[Asset, Metadata]:
        found = await self.asset(brand, key, run_id=run_id)
        return found, (await self.marks(found.run_id, [key])).get(key, {})

    @override
    async def covers(self, brands: Sequence[str]) -> dict[str, Sequence[bytes]]:
        known = [name for name in brands if name in self._state.brands]
        return {name: _covers(self._state.snapshot_row(name)) for name in known}

    @override
    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        runs = [row.run for row in self._state.newest_first(brand)]
        committed = [run for run in runs if run.state is RunState.COMMITTED]
        return newest_slice(committed, before, limit)

    @override
    async def difference_slice(
        self, brand: str, old: UUID, new: UUID, *, change: str | None, after: bytes, limit: int
    ) -> Slice[Difference, bytes]:
        was, now = self._state.run_row(old).assets, self._state.run_row(new).assets
        found = [
            difference
            for key in sorted({*was, *now})
            if key > after
            and (difference := _difference(brand, key, was.get(key), now.get(key))) is not None
            and change in (None, difference.change)
        ]
        return Slice(found[:limit], found[limit - 1].key if len(found) > limit else None)

    @override
    async def difference_counts(self, old: UUID, new: UUID) -> DifferenceCounts:
        was, now = self._state.run_row(old).assets, self._state.run_row(new).assets
        both = was.keys() & now.keys()
        kept = sum(was[key].staged.sha256 == now[key].staged.sha256 for key in both)
        models = {None, *(asset.staged.model for asset in was.values())}
        other = sum(asset.staged.model not in models for asset in now.values())
        return DifferenceCounts(
            len(now) - len(both), len(was) - len(both), len(both) - kept, kept, other
        )

    @override
    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        row = self._state.runs.get(run_id)
        return [] if row is None else [row.insights[kind] for kind in sorted(row.insights)]

    @override
    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        row = self._state.runs.get(run_id)
        marks = {} if row is None else row.marks
        return {key: marks[key] for key in keys if key in marks}


def _covers(row: RunRow | None) -> Sequence[bytes]:
    if row is None:
        return []
    found: dict[str, bytes] = {}
    for key in [*_centres(row), *list(row.assets)[:COVERS_SCAN]]:
        asset = row.assets.get(key)
        if asset is not None and asset.staged.media_type.startswith("image/"):
            same = row.marks.get(key, {}).get("duplicates") or asset.staged.sha256.hex()
            found.setdefault(same, key)
    return list(found.values())[:COVERS_MAX]


def _centres(row: RunRow) -> list[bytes]:
    """Return the most typical asset of each of a snapshot's largest clusters."""
    insight = row.insights.get("clusters")
    clusters = (insight.result or {}).get("clusters", []) if insight else []
    return [bytes.fromhex(one["representatives"][0]) for one in clusters[:COVERS_MAX]]


def _difference(
    brand: str, key: bytes, was: AssetRow | None, now: AssetRow | None
) -> Difference | None:
    before = None if was is None else was.staged.sha256
    after = None if now is None else now.staged.sha256
    if before == after:
        return None
    shown = now or was
    return None if shown is None else Difference.of(brand, key, shown.url, before, after)


def _matches(asset: AssetRow, marks: Metadata, wanted: AssetFilter) -> bool:
    """Return whether an asset matches every field of a filter that is set."""
    found = asset.staged
    kind = found.media_type
    family = None if wanted.media_type is None else family_of(wanted.media_type)
    checks = [
        wanted.media_type in (None, kind) or (family is not None and kind.startswith(family)),
        wanted.text is None or _says(asset, wanted.text.lower()),
        wanted.colour is None or _has_near(found.colours, wanted.colour),
        wanted.colour_name is None or wanted.colour_name in colour_names(found.colours),
        wanted.shape in (None, shape_of(found.width, found.height)),
        wanted.size in (None, size_of(found.width, found.height)),
        wanted.first_seen is None or _day_of(asset).startswith(wanted.first_seen),
        all(_has_value(asset.metadata.get(each.column), each) for each in wanted.columns),
        wanted.tag is None or wanted.tag in (marks.get("tags") or ()),
        wanted.duplicated is None or ("duplicates" in marks) == wanted.duplicated,
        wanted.outlier is None or marks.get("outlier", -1.0) >= wanted.outlier,
    ]
    for name in ("cluster", "duplicates", "look"):
        value = getattr(wanted, name)
        checks.append(value is None or marks.get(name) == value)
    return all(checks)


def _day_of(asset: AssetRow) -> str:
    return asset.first_seen.astimezone(UTC).date().isoformat()


def _has_value(entry: object, wanted: ColumnFilter) -> bool:
    values = metadata_values(entry)
    if wanted.numbers is not None:
        low, below = wanted.numbers
        numbers = [number for value in values if (number := number_in(value)) is not None]
        return any(low <= number < below for number in numbers)
    if wanted.day is not None:
        return any((day_in(value) or "").startswith(wanted.day) for value in values)
    return not set(wanted.values).isdisjoint(values)


def _says(asset: AssetRow, text: str) -> bool:
    return text in asset.url.lower() or text in orjson.dumps(asset.metadata).decode().lower()


def _has_near(colours: Sequence[Colour], wanted: NearColour) -> bool:
    return any(_distance(colour.rgb, wanted.rgb) <= wanted.within for colour in colours)


def _distance(one: int, other: int) -> float:
    """Return the "redmean" distance of two colours: 0 the same, about 765 black to white."""
    (r1, g1, b1), (r2, g2, b2) = one.to_bytes(3, "big"), other.to_bytes(3, "big")
    red = (2 + (r1 + r2) / 512) * (r1 - r2) ** 2
    blue = (2 + (510 - r1 - r2) / 512) * (b1 - b2) ** 2
    return float((red + 4 * (g1 - g2) ** 2 + blue) ** 0.5)
