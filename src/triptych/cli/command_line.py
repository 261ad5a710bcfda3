"""The command line: its commands, under the headings and in the order of `--help`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from triptych import __version__
from triptych.cli import (
    asset_commands,
    backup_commands,
    brand_commands,
    comparison_commands,
    history_commands,
    item_commands,
    machine_commands,
    run_commands,
    server_commands,
    snapshot_commands,
    source_commands,
    steering_commands,
    system_commands,
    task_commands,
    upload_commands,
    verify_commands,
)
from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import EXIT_FAILED
from triptych.cli.key_commands import keys
from triptych.cli.letter_commands import letters
from triptych.cli.limit_commands import hosts, phases
from triptych.cli.model_commands import models
from triptych.cli.new_commands import new
from triptych.cli.read_commands import reads
from triptych.cli.upload_commands import uploads
from triptych.cli.webhook_commands import webhooks
from triptych.runtime.cpu import one_thread_each

PANELS = {
    "Bring in a brand": (
        source_commands.check,
        run_commands.run,
        run_commands.submit,
        upload_commands.upload,
        uploads,
        source_commands.sources,
        brand_commands.schedule,
    ),
    "Follow its runs": (
        run_commands.status,
        run_commands.runs,
        run_commands.failures,
        item_commands.items,
        run_commands.timeline,
    ),
    "Look at a brand": (
        asset_commands.assets,
        asset_commands.asset,
        asset_commands.search,
        asset_commands.similar,
        comparison_commands.facets,
        brand_commands.insights,
        comparison_commands.near,
        comparison_commands.compare,
        brand_commands.report,
        brand_commands.export,
    ),
    "Look at a brand's history": (
        history_commands.history,
        snapshot_commands.snapshots,
        snapshot_commands.diff,
        snapshot_commands.restore,
    ),
    "Steer runs": (
        steering_commands.pause,
        steering_commands.resume,
        steering_commands.cancel,
        steering_commands.publish,
        steering_commands.discard,
        steering_commands.redrive,
        item_commands.retry,
        item_commands.skip,
        phases,
        hosts,
    ),
    "Change a brand": (
        run_commands.reembed,
        brand_commands.ai,
        brand_commands.delete,
    ),
    "Run a server": (
        server_commands.up,
        server_commands.api,
        server_commands.worker,
        server_commands.live,
    ),
    "See who does what": (
        system_commands.workers,
        system_commands.me,
        task_commands.tasks,
        task_commands.audit,
        webhooks,
        letters,
    ),
    "Look after an installation": (
        machine_commands.doctor,
        verify_commands.verify,
        backup_commands.backup,
        machine_commands.settings,
        models,
        machine_commands.migrate,
        reads,
        keys,
    ),
    "Extend it": (new,),
}
"""The headings of `triptych --help` with their commands, in the order in which they are needed."""

app = typer.Typer(
    name="triptych",
    cls=HelpGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"triptych {__version__}")
        raise typer.Exit


@app.callback()
def program(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Turns a brand's scattered media into a committed, searchable, AI-enriched catalogue."""


def _add(command: Callable[..., Any] | typer.Typer, panel: str) -> None:
    if isinstance(command, typer.Typer):
        app.add_typer(command, rich_help_panel=panel)
        return
    # An asset's id may start with a hyphen.
    takes_ids = command in {asset_commands.asset, asset_commands.similar}
    app.command(
        cls=HelpCommand,
        context_settings={"ignore_unknown_options": takes_ids},
        rich_help_panel=panel,
    )(command)


for heading, commands in PANELS.items():
    for each in commands:
        _add(each, heading)


def main() -> None:
    """Run the command line."""
    one_thread_each()
    try:
        app()
    except Exception:  # noqa: BLE001 - printed, and the exit code says so.
        from triptych.cli.log_output import say

        # A defect, or any error with --debug. Python would print what it quotes as it is.
        say(traceback.format_exc())
        sys.exit(EXIT_FAILED)
