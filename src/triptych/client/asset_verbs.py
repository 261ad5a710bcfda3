"""What a client does with assets: list, count, find and download them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Unpack
from uuid import UUID

from triptych.client.asset_filters import (
    LikenessOptions,
    ListingOptions,
    SearchOptions,
    query_of,
)
from triptych.client.connection import (
    PAGE_MAX,
    Connection,
    brand_part,
    fresh_query,
    of_run,
    part,
)
from triptych.snapshots.asset_shown import AssetShown, AssetWhole
from triptych.snapshots.facets import FacetsShown
from triptych.snapshots.search_service import Matches
from triptych.wire import Page

OCTETS = {"Content-Type": "application/octet-stream"}


class AssetVerbs(Connection):
    """Assets of a brand's snapshot, and the search in all of them.

    Filters are those of `AssetFilters`. Methods raise `BadInput` for one that is not there.
    """

    async def assets(
        self, brand: str, **options: Unpack[ListingOptions]
    ) -> AsyncIterator[AssetShown]:
        """Yield all assets of a brand's snapshot that fulfil the filters, page after page.

        All of them are of the snapshot of the first page, even if a run commits meanwhile.

        Raises:
            BrandNotFound: there is no brand with that name.
            SnapshotCollected: the snapshot is no longer kept.
        """
        query = query_of(ListingOptions, options)
        async for asset in self._pages(_assets_path(brand), Page[AssetShown], query):
            yield asset

    async def assets_page(
        self,
        brand: str,
        *,
        limit: int = PAGE_MAX,
        cursor: str | None = None,
        **options: Unpack[ListingOptions],
    ) -> tuple[Sequence[AssetShown], str | None]:
        """Return up to ``limit`` of a brand's assets, and the cursor of those that follow."""
        query = query_of(ListingOptions, options)
        return await self._some(_assets_path(brand), Page[AssetShown], query, limit, cursor)

    async def asset(
        self, asset: str, *, run: UUID | None = None, fresh: bool = False
    ) -> AssetWhole:
        """Return an asset from its brand's current snapshot, or from that of a run.

        ``fresh``: as Postgres has it.

        Raises:
            AssetNotFound: there is no asset with that id.
        """
        path = f"/assets/{part(asset)}"
        return await self._get(path, AssetWhole, of_run(run) | fresh_query(fresh))

    async def thumbnail(self, asset: str, width: int, *, run: UUID | None = None) -> bytes:
        """Return a thumbnail of an asset as WebP; ``width`` is 160, 320, 640 or 1280 pixels.

        Raises:
            NoThumbnail: the asset is not an image.
        """
        query = {"w": str(width), **of_run(run)}
        return await self._body("GET", f"/assets/{part(asset)}/thumbnail", query)

    async def fetch_content(self, asset: str, path: Path, *, run: UUID | None = None) -> None:
        """Download an asset's bytes to ``path``, completely or not at all.

        Raises:
            ObjectMissing: the store has lost them.
        """
        await self._download(f"/assets/{part(asset)}/content", path, of_run(run))

    async def facets(
        self,
        brand: str | None = None,
        *,
        by: Sequence[str] = (),
        limit: int | None = None,
        cursor: str | None = None,
        **options: Unpack[ListingOptions],
    ) -> FacetsShown:
        """Count the assets of a brand, or of all brands, by their properties.

        Args:
            brand: None for all brands; ``snapshot`` then has no meaning, and is refused.
            by: what to count by, such as ``tag`` or ``metadata.price``; all but columns if empty.
            limit: values of each, at most.
            cursor: `next` of the facet before, if only one is asked for.
            options: which assets; a facet is counted without its own filter.
        """
        asked: list[tuple[str, str]] = list(query_of(ListingOptions, options).items())
        asked += [("by", name) for name in by]
        asked += [("limit", str(limit))] if limit is not None else []
        asked += [("cursor", cursor)] if cursor is not None else []
        path = "/facets" if brand is None else f"/brands/{brand_part(brand)}/facets"
        return await self._get(path, FacetsShown, asked)

    async def search(self, text: str, /, **options: Unpack[SearchOptions]) -> Matches:
        """Return the assets that show what a text describes, the best first."""
        query = {"q": text, **query_of(SearchOptions, options)}
        return await self._get("/search", Matches, query)

    async def search_by_asset(self, asset: str, /, **options: Unpack[SearchOptions]) -> Matches:
        """Return the assets, of one brand or of all, that look like another asset."""
        query = {"asset": asset, **query_of(SearchOptions, options)}
        return await self._get("/search", Matches, query)

    async def search_by_image(self, body: bytes, /, **options: Unpack[SearchOptions]) -> Matches:
        """Return the assets that look like an image."""
        query = query_of(SearchOptions, options)
        return await self._ask("POST", "/search", Matches, query=query, data=body, headers=OCTETS)

    async def similar(self, asset: str, /, **options: Unpack[LikenessOptions]) -> Matches:
        """Return the assets of the same snapshot that look like one of it."""
        query = query_of(LikenessOptions, options)
        return await self._get(f"/assets/{part(asset)}/similar", Matches, query)


def _assets_path(brand: str) -> str:
    return f"/brands/{brand_part(brand)}/assets"
