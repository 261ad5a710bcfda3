"""Commands for this machine: the database's schema, a worker's requirements, the settings.

They use the components directly, because they must work before a server can run.
"""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.cli.invocation import Invocation, command

# A command's imports are deferred until it runs, so that `--help` is quick.


@command()
async def migrate(
    call: Invocation,
    admin: Annotated[
        str | None,
        typer.Option(
            "--admin",
            envvar="TRIPTYCH_ADMIN_URL",
            help="DSN of an administrator, who creates the role first [none].",
        ),
    ] = None,
    skip_long: Annotated[
        bool,
        typer.Option(
            "--skip-long",
            help="Leave out migrations that may take long; servers and workers run without them.",
        ),
    ] = False,
) -> None:
    """Bring the database's schema up to date.

    Missing queues are created, too. It may be stopped at any point, and goes on where it was.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.log_output import say
    from triptych.wiring.services import migrate_database

    applied = await migrate_database(call.settings(), admin=admin, skip_long=skip_long, say=say)
    if call.json:
        print_json({"applied": applied})
    else:
        typer.echo(f"Applied: {', '.join(applied)}." if applied else "Nothing to apply.")


@command()
async def doctor(call: Invocation) -> bool:
    """Check everything that a worker needs, and report problems.

    The exit code is 0 only if there are none. What work can go on without is a warning.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.log_output import say
    from triptych.cli.tables import console, shown
    from triptych.wiring.doctor import diagnose

    findings = await diagnose(call.settings(), say=say)
    if call.json:
        print_json(
            [{"what": f.what, "ok": f.ok, "warns": f.warns, "says": f.says} for f in findings]
        )
    else:
        for finding in findings:
            well = "[yellow]![/]" if finding.warns else "[green]✓[/]"
            mark = well if finding.ok else "[red]✗[/]"
            console.print(f"{mark} {finding.what:<10} {shown(finding.says)}", soft_wrap=True)
    return all(finding.ok for finding in findings)


@command()
async def settings(call: Invocation) -> None:
    """Print the settings in force and where each came from.

    Secrets are hidden.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console
    from triptych.settings.settings import ENV_PREFIX

    found = call.settings()
    values, origins = found.shown(), found.origins(data=call.data)
    if call.json:
        print_json({name: {"value": values[name], "from": origins[name]} for name in values})
        return
    for name, value in values.items():
        variable = f"{ENV_PREFIX}{name.upper()}"
        console.print(f"{variable}={value}", end="", markup=False, soft_wrap=True)
        console.print(f"  ({origins[name]})", style="dim")
