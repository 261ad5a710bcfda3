"""The commands. Each loads the settings, does one thing, and ends errors in one clear line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.frame import (
    EXIT_FAILED,
    BrandArgument,
    Data,
    Debug,
    Json,
    RunArgument,
    SourceOption,
    execute,
    find_run,
)

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.settings import Settings

app = typer.Typer(
    name="triptych",
    help="Turns a brand's scattered media into a committed, searchable, AI-enriched catalogue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ASSETS_PAGE = 20
FAILURE_EXAMPLES = 3


def main() -> None:
    """Run the command line."""
    app()


@app.command()
def run(
    brand: BrandArgument,
    source: SourceOption = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take a brand through all three phases, here and now; exit 0 only if it committed."""

    async def work(settings: Settings) -> bool:
        from triptych.cli.bars import follow
        from triptych.cli.output import print_run
        from triptych.local import open_local
        from triptych.model import RunState

        async with open_local(settings) as local:
            opened = await local.submit(brand, source=source)
            last = await follow(local.watch(opened.id), json=json)
        if last is not None and not json:
            print_run(last)
        return last is not None and last.state is RunState.COMMITTED

    if not execute(work, debug=debug, data=data, source=source):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def up(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Start everything: the database, the queues and the workers, until Ctrl-C or SIGTERM."""

    async def work(settings: Settings) -> None:
        from triptych.cli.up import serve

        await serve(settings, json=json, debug=debug)

    execute(work, debug=debug, json=json, data=data)


@app.command()
def submit(
    brand: BrandArgument,
    source: SourceOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Hand a brand to the running workers; a brand with an active run answers with that run."""

    async def work(settings: Settings) -> bool:
        from triptych.cli.bars import follow
        from triptych.cli.output import print_json, print_run
        from triptych.live.watch import watch as watch_run
        from triptych.messages import check_brand
        from triptych.model import RunState
        from triptych.wiring import connect, reach_database

        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            opened = await parts.registry.open(check_brand(brand), source=source)
            if not watch:
                (print_json if json else print_run)(opened.run)
                return True
            last = await follow(watch_run(parts.catalogue, opened.run.id), json=json)
        if last is not None and not json:
            print_run(last)
        return last is not None and last.state is RunState.COMMITTED

    if not execute(work, debug=debug, data=data):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(metavar="[BRAND|RUN]")] = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show all brands, or one brand's newest run, or one run; and the queues."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import console, print_brands, print_json, print_run
        from triptych.wiring import connect, reach_database

        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            if name is not None:
                found = await find_run(parts.catalogue, name)
                (print_json if json else print_run)(found)
                return
            brands = await parts.catalogue.brands()
            depths = await parts.queue.depths()
        if json:
            print_json({"brands": brands, "queues": depths})
            return
        print_brands(brands)
        for depth in depths:
            if depth.waiting or depth.in_flight:
                console.print(
                    f"{depth.queue}: {depth.waiting:,} waiting, {depth.in_flight:,} in flight",
                    style="dim",
                )

    execute(work, debug=debug, data=data)


@app.command()
def assets(
    brand: BrandArgument,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Assets on the page.")
    ] = ASSETS_PAGE,
    after: Annotated[str | None, typer.Option(help="Go on behind this key (hex).")] = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List a brand's committed assets."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import console, print_assets, print_json
        from triptych.errors import BadInput
        from triptych.wiring import connect, reach_database

        try:
            key = bytes.fromhex(after) if after else None
        except ValueError as error:
            message = "Not a key."
            raise BadInput(message, field="--after", remedy="Copy it from the list.") from error
        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            found = await parts.catalogue.brand(brand)
            page = (
                await parts.catalogue.assets(found.current_run, after=key, limit=limit)
                if found.current_run
                else []
            )
        if json:
            print_json(page)
            return
        print_assets(page)
        console.print(f"{len(page):,} of {found.assets:,} assets", style="dim")

    execute(work, debug=debug, data=data)


@app.command()
def failures(
    name: RunArgument,
    examples: Annotated[
        int, typer.Option(min=1, max=1000, help="Examples of each reason.")
    ] = FAILURE_EXAMPLES,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what failed in a run, by reason, with examples."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import explained, print_failures, print_json
        from triptych.wiring import connect, reach_database

        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            found = await find_run(parts.catalogue, name)
            groups = await parts.catalogue.failures(found.id, examples=examples)
        if json:
            print_json(explained(groups))
        else:
            print_failures(groups)

    execute(work, debug=debug, data=data)


def _steer(verb: str, name: str, *, debug: bool, json: bool, data: Data) -> None:
    """Pause, resume, cancel or redrive a run and print how it stands."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import print_json, print_run
        from triptych.wiring import connect, reach_database

        async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
            found = await find_run(parts.catalogue, name)
            changed = await getattr(parts.registry, verb)(found.id)
        (print_json if json else print_run)(changed)

    execute(work, debug=debug, data=data)


@app.command()
def pause(name: RunArgument, data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Dispatch nothing more of a run; what is out settles."""
    _steer("pause", name, debug=debug, json=json, data=data)


@app.command()
def resume(name: RunArgument, data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Let a paused run go on."""
    _steer("resume", name, debug=debug, json=json, data=data)


@app.command()
def cancel(name: RunArgument, data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """End an active run; the brand's snapshot stays what it was."""
    _steer("cancel", name, debug=debug, json=json, data=data)


@app.command()
def redrive(name: RunArgument, data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Try an ended run's failed items again, in a run of their own."""
    _steer("redrive", name, debug=debug, json=json, data=data)


@app.command()
def worker(
    phases: Annotated[list[str], typer.Argument(metavar="PHASE...", help="gather acquire ai")],
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="Stop when stdin ends.")
    ] = False,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve phases from the queues until Ctrl-C or SIGTERM, then drain."""

    async def work(settings: Settings) -> None:
        from triptych.cli.up import serve_phases

        await serve_phases(settings, phases, with_parent=with_parent)

    execute(work, debug=debug, json=json, data=data)


@app.command()
def migrate(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Bring the database's schema up to date."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import print_json
        from triptych.wiring import migrate_database

        applied = await migrate_database(settings)
        if json:
            print_json({"applied": applied})
        else:
            typer.echo(f"Applied: {', '.join(applied)}." if applied else "Nothing to apply.")

    execute(work, debug=debug, data=data)


@app.command()
def doctor(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Check everything a worker needs and say what is wrong; exit 0 only if nothing is."""

    async def work(settings: Settings) -> bool:
        from triptych.cli.output import console, print_json
        from triptych.doctor import diagnose

        findings = await diagnose(settings)
        if json:
            print_json([{"what": f.what, "ok": f.ok, "says": f.says} for f in findings])
        else:
            for finding in findings:
                mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
                console.print(f"{mark} {finding.what:<10} {finding.says}", soft_wrap=True)
        return all(finding.ok for finding in findings)

    if not execute(work, debug=debug, data=data):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def settings(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Print the settings in force and where each came from; secrets are hidden."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import console, print_json
        from triptych.settings import ENV_PREFIX

        shown, origins = settings.shown(), settings.origins(data=data)
        if json:
            print_json({name: {"value": shown[name], "from": origins[name]} for name in shown})
            return
        for name, value in shown.items():
            variable = f"{ENV_PREFIX}{name.upper()}"
            console.print(f"{variable}={value}", end="", markup=False, soft_wrap=True)
            console.print(f"  ({origins[name]})", style="dim")

    execute(work, debug=debug, data=data)
