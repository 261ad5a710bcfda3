"""Two brands side by side: their relation, with the assets that both have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from triptych.errors import NotSearchable
from triptych.runs.brand_store import BrandStore
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.brand_relations import BrandRelations
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.wire import Wire


class Pair(Wire, frozen=True):
    """An asset of the one brand and one of the other."""

    similarity: float
    asset: AssetShown
    other: AssetShown


class Pairs(Wire, frozen=True):
    """Assets that two brands have in common; all are counted, the first ones named."""

    count: int
    items: list[Pair]


class Comparison(Wire, frozen=True):
    """Two brands side by side."""

    brand: str
    other: str
    runs: Annotated[list[UUID], Meta(description="The two snapshots.")]
    model: Annotated[str | None, Meta(description="Whose embeddings were compared.")]
    """None when the brands have none of one model."""
    similarity: Annotated[
        float | None, Meta(description="Cosine of the two centres; null without a common model.")
    ]
    compared: Annotated[
        list[int], Meta(description="Embeddings looked at: an even sample of each snapshot.")
    ]
    shared: Annotated[Pairs, Meta(description="The same bytes, among all assets.")]
    lookalikes: Annotated[
        Pairs, Meta(description="Other bytes, and the same to look at: of the sample.")
    ]
    """The most alike first; never the same bytes."""


async def compare(
    relations: BrandRelations,
    brands: BrandStore,
    snapshots: SnapshotStore,
    brand: str,
    other: str,
) -> Comparison:
    """Compare the current snapshots of two brands.

    Raises:
        BrandNotFound: one of them is not there.
        NotSearchable: one of them has no snapshot yet.
        SearchUnavailable: it took too long.
    """
    runs = [await _snapshot(brands, brand), await _snapshot(brands, other)]
    found = await relations.between(runs[0], runs[1])
    named = [*found.shared.pairs, *((one, them) for one, them, _ in found.pairs)]
    ours = await snapshots.assets_of(runs[0], [one for one, _ in named])
    their = await snapshots.assets_of(runs[1], [them for _, them in named])

    def pairs(count: int, some: Iterable[tuple[bytes, bytes, float]]) -> Pairs:
        there = ((k, t, cosine) for k, t, cosine in some if k in ours and t in their)
        return Pairs(
            count,
            [Pair(c, AssetShown.of(ours[k]), AssetShown.of(their[t])) for k, t, c in there],
        )

    return Comparison(
        brand,
        other,
        runs,
        found.model,
        found.similarity,
        list(found.compared),
        pairs(found.shared.count, ((one, them, 1.0) for one, them in found.shared.pairs)),
        pairs(found.lookalikes, found.pairs),
    )


async def _snapshot(brands: BrandStore, brand: str) -> UUID:
    run_id = await brands.snapshot_of(brand)
    if run_id is None:
        raise NotSearchable(
            f"Brand {brand!r} has no snapshot yet.", remedy="Wait for its run to commit."
        )
    return run_id
