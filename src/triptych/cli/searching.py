"""Commands that search, and that show what the AI phase found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.frame import BrandArgument, Data, Debug, Json, Server, execute

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.settings.settings import Settings
    from triptych.snapshots.search_service import Where

HITS = 10

BrandOption = Annotated[
    str | None, typer.Option("--brand", help="Search in this brand [in all of them].")
]
Limit = Annotated[int, typer.Option(min=1, max=500, help="Assets to find.")]
TagOption = Annotated[str | None, typer.Option("--tag", help="Only assets with this tag.")]
ClusterOption = Annotated[str | None, typer.Option("--cluster", help="Only of this cluster.")]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only of this media type: image/png, image/*.")
]


def search(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What it shows.")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", help="Search by this picture instead of a text.")
    ] = None,
    brand: BrandOption = None,
    limit: Limit = HITS,
    tag: TagOption = None,
    cluster: ClusterOption = None,
    media_type: TypeOption = None,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find assets by what they show, or by a picture that they look like."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import open_desk
        from triptych.cli.finding import read_picture, show
        from triptych.errors import BadInput

        where = _where(brand, limit, tag, cluster, media_type)
        if (text is None) == (image is None):
            raise BadInput("Give either a text or a picture.", field="TEXT or --image")
        picture = await read_picture(image) if image is not None else b""
        async with open_desk(settings) as desk:
            if image is not None:
                found = await desk.by_image(picture, where)
            else:
                found = await desk.by_text(text or "", where)
        show(found, json=json)

    execute(work, debug=debug, data=data, server=server)


def similar(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET", help="An asset's id, as `search` and the API tell it.")
    ],
    brand: BrandOption = None,
    limit: Limit = HITS,
    tag: TagOption = None,
    cluster: ClusterOption = None,
    media_type: TypeOption = None,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find assets that look like one."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import open_desk
        from triptych.cli.finding import show

        where = _where(brand, limit, tag, cluster, media_type)
        async with open_desk(settings) as desk:
            show(await desk.by_asset(asset, where), json=json)

    execute(work, debug=debug, data=data, server=server)


def _where(
    brand: str | None, limit: int, tag: str | None, cluster: str | None, media_type: str | None
) -> Where:
    from triptych.snapshots.search_service import Where
    from triptych.snapshots.snapshot_store import AssetFilter

    return Where(brand, limit, AssetFilter(media_type=media_type, tag=tag, cluster=cluster))


def insights(
    brand: BrandArgument,
    step: Annotated[str | None, typer.Option("--step", help="Only what this step found.")] = None,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what the AI phase found in a brand's snapshot."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import open_desk
        from triptych.cli.finding import of_step, print_insights
        from triptych.cli.output import print_json

        async with open_desk(settings) as desk:
            found = of_step(await desk.insights(brand), step)
        if json:
            print_json(found)
        else:
            print_insights(found, whole=step is not None)

    execute(work, debug=debug, data=data, server=server)
