"""The commands. Each loads the settings, does one thing, and ends errors in one clear line."""

from __future__ import annotations

import typer

from triptych.cli import operating, reading, runs, searching
from triptych.cli.keys import keys
from triptych.runtime.cpu import one_thread_each

COMMANDS = (
    runs.run,
    operating.up,
    runs.submit,
    runs.status,
    reading.assets,
    searching.search,
    searching.similar,
    searching.insights,
    reading.failures,
    reading.export,
    reading.report,
    runs.pause,
    runs.resume,
    runs.cancel,
    runs.redrive,
    runs.reembed,
    operating.worker,
    operating.live,
    operating.api,
    operating.migrate,
    operating.doctor,
    operating.settings,
)
"""In the order in which `--help` lists them."""

app = typer.Typer(
    name="triptych",
    help="Turns a brand's scattered media into a committed, searchable, AI-enriched catalogue.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in COMMANDS:
    # An asset's id may begin with a dash.
    takes_ids = command is searching.similar
    app.command(context_settings={"ignore_unknown_options": takes_ids})(command)
app.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line."""
    one_thread_each()
    app()
