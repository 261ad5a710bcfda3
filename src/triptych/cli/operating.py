"""Commands that run Triptych and look after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.frame import EXIT_FAILED, Data, Debug, Json, execute

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.settings.settings import Settings


Host = Annotated[str | None, typer.Option(help="Address to listen on [127.0.0.1].")]
LIVE_PORT = 8701
LivePort = Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on [8321]; 0 for a free one.")]


def up(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Start everything: database, queues, workers and API, until Ctrl-C or SIGTERM."""

    async def work(settings: Settings) -> None:
        from triptych.cli.up import serve

        await serve(settings, json=json, debug=debug)

    execute(work, debug=debug, json=json, data=data, api_host=host, api_port=port)


def api(
    host: Host = None,
    port: Port = None,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A socket that listens.")] = None,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", hidden=True, help="Stop when stdin ends.")
    ] = False,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve the API until Ctrl-C or SIGTERM, then finish the requests it has."""

    async def work(settings: Settings) -> None:
        from triptych.cli.up import serve_api

        await serve_api(settings, fd=fd, with_parent=with_parent)

    execute(work, debug=debug, json=json, data=data, api_host=host, api_port=port)


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


def live(
    host: Host = None,
    port: LivePort = LIVE_PORT,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Serve live status over WebSocket until Ctrl-C or SIGTERM; clients are told to come back."""

    async def work(settings: Settings) -> None:
        from triptych.cli.up import serve_live

        await serve_live(settings)

    execute(work, debug=debug, json=json, data=data, api_host=host, api_port=port)


def migrate(
    admin: Annotated[
        str | None,
        typer.Option(
            "--admin",
            envvar="TRIPTYCH_ADMIN_URL",
            help="Address of an administrator, who makes the role first [none].",
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring the database's schema up to date, and make queues that are missing."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import print_json
        from triptych.wiring.services import migrate_database

        applied = await migrate_database(settings, admin=admin)
        if json:
            print_json({"applied": applied})
        else:
            typer.echo(f"Applied: {', '.join(applied)}." if applied else "Nothing to apply.")

    execute(work, debug=debug, data=data)


def doctor(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Check everything a worker needs and say what is wrong; exit 0 only if nothing is."""

    async def work(settings: Settings) -> bool:
        from triptych.cli.output import console, print_json
        from triptych.wiring.doctor import diagnose

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


def settings(data: Data = None, json: Json = False, debug: Debug = False) -> None:
    """Print the settings in force and where each came from; secrets are hidden."""

    async def work(settings: Settings) -> None:
        from triptych.cli.output import console, print_json
        from triptych.settings.settings import ENV_PREFIX

        shown, origins = settings.shown(), settings.origins(data=data)
        if json:
            print_json({name: {"value": shown[name], "from": origins[name]} for name in shown})
            return
        for name, value in shown.items():
            variable = f"{ENV_PREFIX}{name.upper()}"
            console.print(f"{variable}={value}", end="", markup=False, soft_wrap=True)
            console.print(f"  ({origins[name]})", style="dim")

    execute(work, debug=debug, data=data)
