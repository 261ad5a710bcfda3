"""Commands that look at brands beside each other, and count what they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import BrandArgument

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.snapshots.brand_relations import NearBrands
    from triptych.snapshots.comparison import Comparison, Pairs
    from triptych.snapshots.facets import FacetsShown

PAIRS_SHOWN = 10
VALUES = 10


@command(server=True)
async def near(call: Invocation, brand: BrandArgument) -> None:
    """List the brands that are most similar to one."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        found = await client.nearest(brand)
    if call.json:
        print_json(found)
    else:
        _print_near(found)


def _print_near(found: NearBrands) -> None:
    from rich.table import Table

    from triptych.cli.tables import console, shown

    table = Table(box=None, pad_edge=False)
    for name in ("brand", "similarity", "shared"):
        table.add_column(name, justify="left" if name == "brand" else "right")
    for each in found.items:
        shared = "–" if each.shared is None else f"{each.shared:,}"
        table.add_row(shown(each.brand), f"{each.similarity:.3f}", shared)
    if found.items:
        console.print(table)
    else:
        console.print("No other brand has embeddings of the same model.", style="dim")


@command(server=True)
async def compare(
    call: Invocation,
    brand: BrandArgument,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The brand to compare with.")],
) -> None:
    """Show how similar two brands are and which pictures both have."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        found = await client.compare(brand, other)
    if call.json:
        print_json(found)
    else:
        _print_comparison(found)


def _print_comparison(found: Comparison) -> None:
    from triptych.cli.tables import console, shown

    similarity = "–" if found.similarity is None else f"{found.similarity:.3f}"
    console.print(
        f"[bold]{shown(found.brand)}[/] and [bold]{shown(found.other)}[/]  similarity {similarity}",
        soft_wrap=True,
    )
    _print_pairs("with the same bytes", found.shared)
    _print_pairs("that look alike", found.lookalikes)


def _print_pairs(what: str, pairs: Pairs) -> None:
    from triptych.cli.tables import console, shown

    console.print(f"  {pairs.count:,} pairs of pictures {what}")
    for pair in pairs.items[:PAIRS_SHOWN]:
        console.print(
            f"    {pair.similarity:.3f}  {shown(pair.asset.url)}  {shown(pair.other.url)}",
            soft_wrap=True,
        )
    if pairs.count > PAIRS_SHOWN:
        console.print(f"    The first {PAIRS_SHOWN}; --json names more.", style="dim")


@command(server=True)
async def facets(
    call: Invocation,
    brand: Annotated[
        str | None, typer.Argument(metavar="[BRAND]", help="The brand [all brands].")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="PROPERTY",
            help="Count by media_type, tag, cluster, look, colour, size, shape, duplicated, "
            "first_seen or metadata.COLUMN; repeatable [all but columns].",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Values of each property.")] = VALUES,
) -> None:
    """Count a brand's assets by their properties."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        found = await client.facets(brand, by=by or (), limit=limit)
    if call.json:
        print_json(found)
    else:
        _print_facets(found)


def _print_facets(found: FacetsShown) -> None:
    from triptych.cli.tables import console, shown

    sample = "" if found.exact else f" [dim](of a sample of {found.looked_at:,})[/]"
    console.print(f"{found.assets:,} assets{sample}")
    for facet in found.facets:
        console.print(f"[bold]{shown(facet.name)}[/]", soft_wrap=True)
        for each in facet.counts:
            console.print(f"  {each.count:>9,}  {shown(each.value)}", soft_wrap=True)
        if facet.more:
            console.print(f"  {facet.more:,} more values", style="dim")
    if found.columns:
        names = ", ".join(f"metadata.{shown(column.name)}" for column in found.columns)
        console.print(f"Columns to count by: {names}", style="dim", soft_wrap=True)
