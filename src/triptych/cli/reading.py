"""Commands that read what a run brought."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.frame import BrandArgument, Data, Debug, Json, RunArgument, Server, execute
from triptych.snapshots.exports.export_registry import export_formats

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.settings.settings import Settings

ASSETS_PAGE = 20
FAILURE_EXAMPLES = 3


def assets(
    brand: BrandArgument,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Assets on the page.")
    ] = ASSETS_PAGE,
    after: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List a brand's committed assets."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import open_desk
        from triptych.cli.output import console, print_assets, print_json

        async with open_desk(settings) as desk:
            page = await desk.assets(brand, limit, after)
        if json:
            print_json(page.assets)
            return
        print_assets(page.assets)
        console.print(f"{len(page.assets):,} of {page.total:,} assets", style="dim")
        if page.after is not None:
            console.print(f"Go on with --after {page.after}", style="dim", soft_wrap=True)

    execute(work, debug=debug, data=data, server=server)


def export(
    brand: BrandArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to write into.")] = Path(),
    kind: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(export_formats())}.")
    ] = "parquet",
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a brand's snapshot into files: a table with embeddings, or shards with the bytes."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import open_desk
        from triptych.cli.output import console, print_json

        async with open_desk(settings) as desk:
            files, count = await desk.export(brand, kind, to)
        if json:
            print_json({"assets": count, "files": files})
        else:
            for file in files:
                console.print(str(file), soft_wrap=True)
            console.print(f"{count:,} assets", style="dim")

    execute(work, debug=debug, data=data, server=server)


def report(
    brand: BrandArgument,
    to: Annotated[Path | None, typer.Option("--to", help="Folder [BRAND-report].")] = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write what a brand's imagery says: Markdown, one HTML file, and pictures."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import console, print_json
        from triptych.cli.reporting import write_report
        from triptych.snapshots.exports.export import file_name

        folder = to or Path(f"{file_name(brand)}-report")
        files, made = await write_report(settings, brand, folder)
        if json:
            print_json({"files": files, "problems": made.problems})
            return
        console.print(str(folder / "report.html"), soft_wrap=True)
        for problem in made.problems:
            console.print(problem, style="yellow", soft_wrap=True)

    execute(work, debug=debug, data=data)


def failures(
    name: RunArgument,
    examples: Annotated[
        int, typer.Option(min=1, max=1000, help="Examples of each reason.")
    ] = FAILURE_EXAMPLES,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what failed in a run, by reason, with examples."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import find_run, open_desk
        from triptych.cli.output import explained, print_failures, print_json

        async with open_desk(settings) as desk:
            found = await find_run(desk, name)
            groups = await desk.failures(found.id, examples)
        if json:
            print_json(explained(groups))
        else:
            print_failures(groups)

    execute(work, debug=debug, data=data, server=server)
