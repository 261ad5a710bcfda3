"""The command line: its commands, in the order in which `--help` lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych import __version__
from triptych.cli import (
    asset_commands,
    brand_commands,
    machine_commands,
    run_commands,
    server_commands,
    snapshot_commands,
    source_commands,
)
from triptych.cli.key_commands import keys
from triptych.cli.letter_commands import letters
from triptych.runtime.cpu import one_thread_each

COMMANDS = (
    run_commands.run,
    server_commands.up,
    run_commands.submit,
    source_commands.check,
    run_commands.status,
    run_commands.runs,
    asset_commands.assets,
    asset_commands.search,
    asset_commands.similar,
    brand_commands.insights,
    run_commands.failures,
    brand_commands.export,
    brand_commands.report,
    run_commands.pause,
    run_commands.resume,
    run_commands.cancel,
    run_commands.publish,
    run_commands.discard,
    run_commands.redrive,
    run_commands.reembed,
    snapshot_commands.snapshots,
    snapshot_commands.diff,
    snapshot_commands.restore,
    server_commands.worker,
    server_commands.live,
    server_commands.api,
    machine_commands.migrate,
    machine_commands.doctor,
    machine_commands.settings,
)

app = typer.Typer(
    name="triptych",
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


for command in COMMANDS:
    # An asset's id may start with a hyphen.
    takes_ids = command is asset_commands.similar
    app.command(context_settings={"ignore_unknown_options": takes_ids})(command)
app.add_typer(letters, name="dead-letters")
app.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line."""
    one_thread_each()
    app()
