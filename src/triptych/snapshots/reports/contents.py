"""The contents of a report: one snapshot's insights, and how it is related to other brands now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from triptych.errors import Conflict
from triptych.model import Brand, Insight, Run
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.brand_relations import NearBrand, NearBrands
from triptych.snapshots.comparison import Comparison

CLUSTERS_MAX = 12
"""Clusters shown, the largest first."""
REPRESENTATIVES_MAX = 6
GROUPS_MAX = 12
"""Groups of duplicates shown, the largest first."""
COPIES_MAX = 6
OUTLIERS_MAX = 8
TAGS_MAX = 20
NEIGHBOURS_MAX = 5
LOOKALIKES_MAX = 10


@dataclass(frozen=True, slots=True)
class Family:
    """Assets that are shown side by side."""

    label: str
    size: int
    assets: Sequence[AssetShown]


@dataclass(frozen=True, slots=True)
class Outlier:
    """An asset that does not look like its brand."""

    asset: AssetShown
    why: str


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the brand's map."""

    x: float
    y: float
    cluster: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that another brand has, too."""

    brand: str
    url: str


@dataclass(frozen=True, slots=True)
class Contents:
    """A report's contents. Results of steps that are missing are empty."""

    brand: Brand
    run: Run
    at: datetime
    results: Mapping[str, Mapping[str, Any]]
    """By step; failed steps are in ``errors``."""
    errors: Mapping[str, str]
    clusters: Sequence[Family] = ()
    duplicates: Sequence[Family] = ()
    outliers: Sequence[Outlier] = ()
    points: Sequence[Point] = field(default=(), repr=False)
    near: Sequence[NearBrand] = ()
    """The most similar brands, in order, as `triptych.snapshots.brand_relations` defines it."""
    both: Sequence[Picture] = ()
    """Some pictures that this brand and another one have."""

    def result(self, step: str) -> Mapping[str, Any]:
        """Return a step's result; empty if there is none."""
        return self.results.get(step, {})


class ReportSource(Protocol):
    """The source of one brand's report."""

    async def brand(self) -> Brand:
        """Return the brand, or raise `BrandNotFound`."""
        ...

    async def run(self, run_id: UUID) -> Run:
        """Return the run of a snapshot."""
        ...

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        """Return the insights of a snapshot."""
        ...

    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> Mapping[bytes, AssetShown]:
        """Return the assets of these keys that a snapshot has."""
        ...

    async def points(self, run_id: UUID) -> Sequence[Point]:
        """Return the positions of a snapshot's assets on its map; none before it is made."""
        ...

    async def nearest(self) -> NearBrands:
        """Return the brands most similar to this one."""
        ...

    async def compare(self, other: str) -> Comparison:
        """Compare the brand with another one."""
        ...

    async def thumbnail(self, asset: AssetShown, width: int) -> bytes:
        """Return a small picture of an asset as WebP, or raise why there is none."""
        ...


async def read_contents(source: ReportSource) -> Contents:
    """Read the contents of a report on the brand's current snapshot.

    Raises:
        BrandNotFound: there is none of that name.
        Conflict: it has no snapshot.
    """
    found = await source.brand()
    if found.current_run is None:
        raise Conflict(
            f"Brand {found.name!r} has no snapshot to report on.", remedy="Start a run of it first."
        )
    run = await source.run(found.current_run)
    insights = await source.insights(run.id)
    results = {i.kind: i.result for i in insights if i.result is not None}
    named = _Named(source, run)
    near = (await source.nearest()).items[:NEIGHBOURS_MAX]
    return Contents(
        brand=found,
        run=run,
        at=datetime.now(UTC),
        results=results,
        errors={i.kind: i.error for i in insights if i.error is not None},
        clusters=await named.clusters(results.get("clusters", {}).get("clusters", [])),
        duplicates=await named.duplicates(results.get("duplicates", {}).get("groups", [])),
        outliers=await named.outliers(results.get("look", {}).get("outliers", [])),
        points=await source.points(run.id),
        near=near,
        both=await _in_both(source, near),
    )


async def _in_both(source: ReportSource, near: Sequence[NearBrand]) -> list[Picture]:
    """Return some pictures of near brands that this one has, too: those of equal bytes first."""
    found: list[Picture] = []
    for other in near:
        if len(found) >= LOOKALIKES_MAX:
            break
        if other.shared or other.lookalikes:
            side = await source.compare(other.brand)
            pairs = [*side.shared.items, *side.lookalikes.items]
            found += [Picture(other.brand, pair.other.url) for pair in pairs]
    return found[:LOOKALIKES_MAX]


class _Named:
    """Assets of one snapshot, by the keys in which results name them."""

    def __init__(self, source: ReportSource, run: Run) -> None:
        self._source = source
        self._run = run

    async def _assets(self, keys: Sequence[str]) -> list[AssetShown]:
        wanted = [bytes.fromhex(key) for key in keys]
        found = await self._source.assets_of(self._run.id, wanted)
        return [found[key] for key in wanted if key in found]

    async def clusters(self, entries: Sequence[Mapping[str, Any]]) -> list[Family]:
        return [
            await self._family(
                str(entry.get("label") or f"Cluster {number}"),
                int(entry["size"]),
                entry["representatives"][:REPRESENTATIVES_MAX],
            )
            for number, entry in enumerate(entries[:CLUSTERS_MAX], start=1)
        ]

    async def duplicates(self, entries: Sequence[Mapping[str, Any]]) -> list[Family]:
        return [
            await self._family(
                "; best: ".join(filter(None, (str(entry["kind"]), entry.get("why")))),
                int(entry["size"]),
                entry["members"][:COPIES_MAX],
            )
            for entry in entries[:GROUPS_MAX]
        ]

    async def _family(self, label: str, size: int, keys: Sequence[str]) -> Family:
        return Family(label, size, await self._assets(keys))

    async def outliers(self, entries: Sequence[Mapping[str, Any]]) -> list[Outlier]:
        shown = entries[:OUTLIERS_MAX]
        assets = {asset.key.hex(): asset for asset in await self._assets([e["key"] for e in shown])}
        return [
            Outlier(assets[entry["key"]], "; ".join(entry.get("why", [])))
            for entry in shown
            if entry["key"] in assets
        ]
