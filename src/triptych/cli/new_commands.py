"""Commands that write the beginnings of plug-ins. They need neither a server nor a database."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

# A command's imports are deferred until it runs, so that `--help` is quick.

new = typer.Typer(
    name="new",
    cls=HelpGroup,
    no_args_is_help=True,
    help="Write the package of a plug-in, to begin with.",
)


class Kind(StrEnum):
    """The kinds of steps; the values are those of `triptych.ai.step_package.StepKind`."""

    ASSET = "asset"
    BRAND = "brand"


@new.callback()
def plug_ins() -> None:
    """Keep `step` a command of its own, although it is the only one."""


@new.command(cls=HelpCommand)
@command()
async def step(
    call: Invocation,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The step's name, such as shot-angle.")
    ],
    kind: Annotated[
        Kind,
        typer.Option(
            "--kind",
            help="asset: computes something from each picture, once; "
            "brand: from a brand's whole snapshot.",
        ),
    ] = Kind.ASSET,
    into: Annotated[
        Path | None,
        typer.Option(
            "--into", metavar="FOLDER", help="A folder that is not there yet [triptych-NAME]."
        ),
    ] = None,
) -> None:
    """Write a package with an AI step and its tests into a new folder.

    It can be installed, and its tests pass. Nothing that exists is overwritten.
    """
    from triptych.ai.step_package import StepKind, write_step_package
    from triptych.cli.json_output import print_json
    from triptych.cli.terminal_text import printable

    written = write_step_package(name, StepKind(kind.value), into)
    if call.json:
        files = [str(path) for path in written.files]
        print_json({"folder": str(written.folder), "files": files})
        return
    for path in written.files:
        typer.echo(printable(str(written.folder / path)))
    typer.echo("Install it and run its tests:")
    folder = shlex.quote(str(written.folder))
    typer.echo(printable(f"  cd {folder} && pip install --editable . pytest && pytest"))
