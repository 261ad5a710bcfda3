"""Assets: pages of a brand's, and one."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from triptych.api.http import responses as answers
from triptych.api.http.dependencies import BrandPath, Context
from triptych.api.http.problems import documented
from triptych.api.requests import Asked, AssetsAsked, Filters
from triptych.api.schemas import AssetShown, Page
from triptych.api.search_schemas import AssetWhole
from triptych.errors import AssetNotFound, BrandNotFound, InvalidCursor, SnapshotCollected
from triptych.snapshots.asset_ids import read_asset_id
from triptych.snapshots.snapshot_store import AssetFilter, NearColour

router = APIRouter(tags=["assets"])


class AssetAsked(Asked):
    """Of which snapshot."""

    run: UUID | None = None


async def _asset_id(
    asset: Annotated[
        str,
        Path(
            min_length=1,
            description="The asset's `id`.",
            examples=["rLGuTAMIu2TJzmqFkJyUd25pa2U"],
        ),
    ],
) -> tuple[str, bytes]:
    return read_asset_id(asset)


AssetPath = Annotated[tuple[str, bytes], Depends(_asset_id)]


@router.get(
    "/brands/{brand}/assets",
    response_model=Page[AssetShown],
    summary="List a brand's assets",
    responses=documented(BrandNotFound, InvalidCursor, SnapshotCollected),
)
async def list_assets(
    context: Context, brand: BrandPath, asked: Annotated[AssetsAsked, Query()]
) -> answers.Json:
    """The assets of the brand's snapshot, filtered.

    A cursor keeps to the snapshot that its walk began on, whatever commits meanwhile.
    """
    listing = f"assets/{brand}"
    position = context.cursors.read(listing, asked)
    if position is None:
        run_id, after = await context.stores.brands.snapshot_of(brand), b""
    else:
        run_id, after = UUID(position[0]), bytes.fromhex(position[1])
    if run_id is None:
        return answers.page([], answers.asset, None)
    found = await context.stores.snapshots.assets_slice(
        run_id, matching(asked), after=after, limit=asked.limit
    )
    following: list[Any] | None = None
    if found.next is not None:
        following = [str(run_id), found.next.hex()]
    return answers.page(found.rows, answers.asset, context.cursors.write(listing, asked, following))


def matching(asked: Filters) -> AssetFilter:
    """Return the filter that a request asks for. New filters go here."""
    near = NearColour(int(asked.colour, 16), asked.within) if asked.colour else None
    return AssetFilter(
        media_type=asked.media_type,
        text=asked.text,
        colour=near,
        tag=asked.tag,
        cluster=asked.cluster,
        duplicates=asked.duplicates,
        duplicated=asked.duplicated,
        look=asked.look,
        outlier=asked.outlier,
    )


@router.get(
    "/assets/{asset}",
    response_model=AssetWhole,
    summary="Show an asset",
    responses=documented(AssetNotFound, SnapshotCollected),
)
async def get_asset(
    context: Context, asset: AssetPath, asked: Annotated[AssetAsked, Query()]
) -> answers.Json:
    """One asset, of its brand's present snapshot or of that of a `run`, with its marks."""
    brand, key = asset
    found = await context.stores.snapshots.asset(brand, key, run_id=asked.run)
    marks = await context.stores.snapshots.marks(found.run_id, [key])
    return answers.Json({**answers.asset(found), "marks": marks.get(key, {})})
