"""Commands that list and find assets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import AfterOption, BrandArgument, copied_cursor

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.client.asset_filters import ListingOptions, SearchOptions
    from triptych.snapshots.search_service import Matches

ASSETS_PAGE = 20
HITS = 10

BrandOption = Annotated[
    str | None, typer.Option("--brand", help="Search only in this brand [all brands].")
]
AssetArgument = Annotated[
    str, typer.Argument(metavar="ASSET", help="An asset's id, as `assets` and `search` show it.")
]
LimitOption = Annotated[int, typer.Option(min=1, max=500, help="Maximum number of assets.")]
TagOption = Annotated[str | None, typer.Option("--tag", help="Only assets with this tag.")]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Only assets of this cluster.")
]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only this media type: image/png, image/*.")
]


@command(server=True)
async def assets(
    call: Invocation,
    brand: BrandArgument,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Maximum number of assets.")
    ] = ASSETS_PAGE,
    after: AfterOption = None,
    snapshot: Annotated[
        UUID | None,
        typer.Option("--snapshot", help="A kept snapshot, as `snapshots` lists it [the current]."),
    ] = None,
) -> None:
    """List a brand's committed assets, a page at a time.

    `triptych export` writes all of them, with their embeddings.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.snapshot_tables import print_older
    from triptych.cli.tables import print_assets

    of: ListingOptions = {} if snapshot is None else {"snapshot": snapshot}
    async with call.open_client() as client:
        with copied_cursor():
            found, following = await client.assets_page(brand, limit=limit, cursor=after, **of)
        older = None if snapshot is None else await client.snapshot(brand, snapshot)
        total = (await client.brand(brand)).assets if older is None else older.assets
    if call.json:
        print_json({"items": found, "next": following, "total": total})
        return
    if older is not None:
        print_older(older)
    print_assets(found, total, following)


@command(server=True)
async def asset(
    call: Invocation,
    asset: AssetArgument,
    to: Annotated[
        Path | None, typer.Option("--to", help="Also write its bytes to this file.")
    ] = None,
) -> None:
    """Show all that is known of an asset, or download it."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_asset
    from triptych.errors import BadInput

    async with call.open_client() as client:
        found = await client.asset(asset)
        if to is not None:
            try:
                await client.fetch_content(asset, to)
            except OSError as error:
                raise BadInput(f"{to} cannot be written ({error}).", field="--to") from error
    (print_json if call.json else print_asset)(found)


@command(server=True)
async def search(
    call: Invocation,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What the assets show.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Search by this image instead of a text.")
    ] = None,
    brand: BrandOption = None,
    limit: LimitOption = HITS,
    tag: TagOption = None,
    cluster: ClusterOption = None,
    media_type: TypeOption = None,
) -> None:
    """Find assets by what they show, or by an image."""
    from triptych.errors import BadInput

    if (text is None) == (image is None):
        raise BadInput("Give either a text or an image.", field="TEXT or --image")
    content = await _read_image(image) if image is not None else b""
    wanted = _options(brand, limit, tag, cluster, media_type)
    async with call.open_client(caught_up=brand is None) as client:
        if text is not None:
            found = await client.search(text, **wanted)
        else:
            found = await client.search_by_image(content, **wanted)
    _show(call, found)


@command(server=True)
async def similar(
    call: Invocation,
    asset: AssetArgument,
    brand: BrandOption = None,
    limit: LimitOption = HITS,
    tag: TagOption = None,
    cluster: ClusterOption = None,
    media_type: TypeOption = None,
) -> None:
    """Find assets that look like another asset."""
    wanted = _options(brand, limit, tag, cluster, media_type)
    async with call.open_client(caught_up=brand is None) as client:
        found = await client.search_by_asset(asset, **wanted)
    _show(call, found)


def _options(
    brand: str | None, limit: int, tag: str | None, cluster: str | None, media_type: str | None
) -> SearchOptions:
    """Return the options of a search that are set."""
    wanted: SearchOptions = {"limit": limit}
    if brand is not None:
        wanted["brand"] = brand
    if tag is not None:
        wanted["tag"] = tag
    if cluster is not None:
        wanted["cluster"] = cluster
    if media_type is not None:
        wanted["media_type"] = media_type
    return wanted


async def _read_image(path: Path) -> bytes:
    """Read an image to search by; of a too large file, one byte more than the limit.

    Raises:
        BadInput: there is no such file, or it cannot be read.
    """
    from triptych.errors import BadInput
    from triptych.snapshots.search_service import IMAGE_MAX_BYTES

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(IMAGE_MAX_BYTES + 1)

    try:
        return await asyncio.to_thread(read)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).", field="--image") from error


def _show(call: Invocation, found: Matches) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_matches

    if not call.json:
        print_matches(found)
        return
    about = {"model": found.model, "exact": found.exact, "unindexed": found.unindexed}
    print_json({"items": found.rows, **about})
