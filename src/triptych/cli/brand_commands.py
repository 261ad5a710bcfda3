"""Commands that show a brand's insights, and that write its snapshot or a report to files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import BrandArgument, SourceOption, WatchOption
from triptych.cli.terminal_text import printable
from triptych.snapshots.exports.export_registry import export_formats

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from uuid import UUID

    from triptych.client import Client
    from triptych.runs.run_shown import BrandShown


@command(server=True)
async def insights(
    call: Invocation,
    brand: BrandArgument,
    step: Annotated[
        str | None, typer.Option("--step", metavar="STEP", help="Only this step's insight.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print all that the steps returned.")
    ] = False,
) -> None:
    """Show what the AI phase found in a brand."""
    from triptych.cli.insight_lines import print_insights
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import in_brackets
    from triptych.errors import BadInput

    async with call.open_client() as client:
        run, state, reason, found = await client.insights(brand)
    wanted = [insight for insight in found if step is None or insight.kind == step]
    if step is not None and not wanted:
        raise BadInput(
            f"There is no insight of that kind{in_brackets(state.value)}.",
            field="--step",
            remedy=f"There are: {', '.join(each.kind for each in found) or 'none'}.",
        )
    if call.json:
        print_json({"run": run, "ai_state": state, "ai_reason": reason, "items": wanted})
    else:
        print_insights(brand, state, wanted, verbose=verbose)


@command(server=True)
async def schedule(
    call: Invocation,
    brand: BrandArgument,
    cron: Annotated[
        str | None,
        typer.Argument(metavar="[CRON]", help="Five cron fields, in UTC, such as '0 3 * * 1'."),
    ] = None,
    source: SourceOption = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the schedule.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what CRON means; set nothing.")
    ] = False,
) -> None:
    """Show or set when a brand's runs start, and from which source.

    What is not given stays as it is. Without CRON, --source and --off it is only shown.
    """
    from triptych.cli.options import given_source
    from triptych.errors import BadInput, BrandNotFound

    if off and cron is not None:
        raise BadInput("A schedule is either set or removed.", field="--off")
    if preview:
        await _preview(call, cron)
        return
    wanted = given_source(source)
    async with call.open_client() as client:
        if cron is not None or off or wanted is not None:
            try:
                before = await client.brand(brand, fresh=True)
                kept = (before.source, before.schedule)
            except BrandNotFound:
                kept = (None, None)
            await client.put_brand(
                brand,
                source=wanted or kept[0],
                schedule=None if off else cron or kept[1],
            )
        found = await client.brand(brand, fresh=True)
    _show_schedule(call, found)


def _show_schedule(call: Invocation, brand: BrandShown) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, local_time, shown

    if call.json:
        print_json(brand)
        return
    console.print(f"[bold]{shown(brand.name)}[/]", soft_wrap=True)
    console.print(f"  source    {shown(brand.source or 'none')}", soft_wrap=True)
    console.print(f"  schedule  {shown(brand.schedule or 'none')}", soft_wrap=True)
    if brand.schedule_words is not None:
        console.print(f"            {shown(brand.schedule_words)}", soft_wrap=True)
    for at in brand.next_runs:
        console.print(f"  next      {local_time(at)}, this machine's time")


async def _preview(call: Invocation, cron: str | None) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, local_time, shown
    from triptych.errors import BadInput

    if cron is None:
        raise BadInput("There is no schedule to show.", field="CRON", remedy="Give five fields.")
    async with call.open_client() as client:
        found = await client.preview_schedule(cron)
    if call.json:
        print_json(found)
        return
    console.print(shown(found.words), soft_wrap=True)
    for at in found.next:
        console.print(f"  next      {local_time(at)}, this machine's time")


@command(server=True)
async def ai(call: Invocation, brand: BrandArgument, watch: WatchOption = False) -> bool:
    """Run the AI phase of a brand's snapshot again."""
    from triptych.cli.run_commands import show_opened

    async with call.open_client(stand_in=["ai"]) as client:
        return await show_opened(call, client, client.run_ai(brand), watch=watch)


@command(server=True)
async def delete(
    call: Invocation,
    brand: BrandArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> bool:
    """Delete a brand with all of its snapshots."""
    import sys

    from triptych.cli.json_output import print_json
    from triptych.errors import BadInput

    async with call.open_client(stand_in=["ai"]) as client:
        found = await client.brand(brand, fresh=True)
        if not yes:
            if not sys.stdin.isatty():
                raise BadInput("Nobody can be asked.", field="--yes", remedy="Give --yes.")
            asked = f"Delete {found.name} and its {found.assets:,} assets?"
            if not await asyncio.to_thread(typer.confirm, printable(asked), err=True):
                return False
        task = await client.delete_brand(brand)
    if call.json:
        print_json(task)
    else:
        typer.echo(f"Deleted {printable(found.name)}.")
    return True


@command(server=True)
async def export(
    call: Invocation,
    brand: BrandArgument,
    to: Annotated[Path, typer.Option("--to", help="Folder to write into.")] = Path(),
    kind: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(export_formats())}."),
    ] = "parquet",
) -> None:
    """Write a brand to files that other programs read.

    They are a table, or shards with the pictures' bytes.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, shown

    async with call.open_client(stand_in=["ai"]) as client:
        task = await client.export(brand, kind)
        files = await _fetch_files(client, task.id, task.result["files"], to)
    count, notes = task.result["assets"], task.result.get("notes", [])
    if call.json:
        print_json({"assets": count, "files": files, "notes": notes})
        return
    for file in files:
        console.print(shown(str(file)), soft_wrap=True)
    console.print(f"{count:,} assets", style="dim")
    for note in notes:
        console.print(shown(note), style="yellow", soft_wrap=True)


async def _fetch_files(
    client: Client, task: UUID, files: list[dict[str, str]], folder: Path
) -> list[Path]:
    """Write an export's files to a folder, replacing files of the same names; return their paths.

    Raises:
        BadInput: the folder cannot be written to.
    """
    # The server chooses the names, so only their last part is used: files stay in the folder.
    paths = {file["name"]: folder / Path(file["name"]).name for file in files}
    with _writing(folder):
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        for name, path in paths.items():
            await client.fetch_file(task, name, path)
    return list(paths.values())


@command(server=True)
async def report(
    call: Invocation,
    brand: BrandArgument,
    to: Annotated[Path | None, typer.Option("--to", help="Folder [BRAND-report].")] = None,
) -> None:
    """Write a report on a brand's imagery as Markdown and HTML."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, shown
    from triptych.client.report_source import ClientReportSource
    from triptych.snapshots.exports.export import file_name
    from triptych.snapshots.reports.report import make_report
    from triptych.wiring.outbound import open_summary

    folder = to or Path(f"{file_name(brand)}-report")
    async with call.open_client() as client, open_summary(call.settings()) as summarise:
        made = await make_report(ClientReportSource(client, brand), summarise)
    with _writing(folder):
        files = await asyncio.to_thread(_write, folder, made.files)
    if call.json:
        print_json({"files": files, "problems": made.problems})
        return
    console.print(shown(str(folder / "report.html")), soft_wrap=True)
    for problem in made.problems:
        console.print(shown(problem), style="yellow", soft_wrap=True)


def _write(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Report file errors of the block as errors of the option ``--to``."""
    from triptych.errors import BadInput

    try:
        yield
    except OSError as error:
        raise BadInput(f"{folder} cannot be written to ({error}).", field="--to") from error
