"""Commands about sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import IgnoreQueryOption, KeyOption, given_source

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.gather.source_check import SourceCheck


@command(server=True)
async def check(
    call: Invocation,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="SCHEME:PLACE, or the path or URL of a list.")
    ],
    brand: Annotated[
        str | None, typer.Option("--brand", help="Only this brand's rows [rows of all brands].")
    ] = None,
    key: KeyOption = None,
    ignore_query: IgnoreQueryOption = None,
) -> bool:
    """Show what a list holds and what a run would take of it. Nothing is started."""
    from triptych.cli.json_output import print_json
    from triptych.cli.source_tables import print_check

    found = await _checked(call, given_source(source, key, ignore_query) or "", brand)
    (print_json if call.json else print_check)(found)
    return found.items > found.items_failed


async def _checked(call: Invocation, source: str, brand: str | None) -> SourceCheck:
    """Check a source on the server that is named, or in this process, without a database."""
    from contextlib import AsyncExitStack

    from triptych.gather.source_check import SourceChecker
    from triptych.messages import check_brand
    from triptych.wiring.installed_sources import (
        installed_sources,
        source_opener,
        source_reach,
    )

    settings = call.settings()
    if settings.server is not None:
        async with call.open_client() as client:
            return await client.check_source(source, brand=brand)
    named = None if brand is None else check_brand(brand)
    sources = installed_sources(settings)
    sources.check(source)
    async with AsyncExitStack() as stack:
        checker = SourceChecker(source_opener(settings, sources, stack), source_reach(settings))
        return await checker.check(source, named, trusted=True)


@command(server=True)
async def sources(call: Invocation) -> None:
    """List the types of sources, with an example of each."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, shown

    async with call.open_client() as client:
        found = await client.sources()
    if call.json:
        print_json({"items": found})
        return
    for each in found:
        console.print(f"[bold]{shown(each.scheme)}:{shown(each.place)}[/]  {shown(each.title)}")
        if each.problem is not None:
            console.print(f"    [yellow]{shown(each.problem)}[/]", soft_wrap=True)
            continue
        console.print(f"    {shown(each.description)}", soft_wrap=True)
        console.print(f"    [dim]{shown(each.scheme)}:{shown(each.example)}[/]", soft_wrap=True)
