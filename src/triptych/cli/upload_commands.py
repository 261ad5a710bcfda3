"""Commands for uploads: lists that are brought to a server as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.api.uploads import UploadShown

UploadId = Annotated[UUID, typer.Argument(metavar="UPLOAD", help="Its id, as `list` shows it.")]

uploads = typer.Typer(
    name="uploads",
    cls=HelpGroup,
    help="List and delete uploads.\n\n`triptych upload` makes one.",
    no_args_is_help=True,
)


@command(server=True)
async def upload(
    call: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list on this machine.")],
    name: Annotated[
        str | None, typer.Option("--name", help="How people see it [the file's own name].")
    ] = None,
) -> None:
    """Send a list to the server and print its source.

    `triptych check` and `triptych submit --source` take what is printed.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.terminal_text import printable

    async with call.open_client() as client:
        with reading(file, "FILE"):
            made = await client.upload(file, name=name)
    if call.json:
        print_json(made)
        return
    typer.echo(printable(made.source))
    typer.echo(said(made), err=True)


@contextmanager
def reading(file: Path, field: str) -> Iterator[None]:
    """Report a file that cannot be read as an error of its argument or option."""
    from triptych.errors import BadInput

    try:
        yield
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}).", field=field) from error


def said(made: UploadShown) -> str:
    """Return what is said of an upload that was made."""
    from triptych.cli.tables import local_time
    from triptych.cli.terminal_text import printable

    kept = "while a brand uses it"
    if made.kept_until is not None:
        kept = f"until {local_time(made.kept_until)}, and longer while a brand uses it"
    return printable(f"Uploaded {made.name}, {made.size_bytes:,} bytes; it is kept {kept}.")


@uploads.command("list", cls=HelpCommand)
@command(server=True)
async def list_uploads(call: Invocation) -> None:
    """List the uploads that are kept, newest first."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console

    async with call.open_client() as client:
        found = [each async for each in client.uploads()]
    if call.json:
        print_json({"items": found})
        return
    for each in found:
        _print_upload(each)
    if not found:
        console.print("No uploads.", style="dim")


@uploads.command(cls=HelpCommand)
@command(server=True)
async def show(call: Invocation, upload: UploadId) -> None:
    """Show what is known of an upload."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        found = await client.upload_info(upload)
    (print_json if call.json else _print_upload)(found)


def _print_upload(each: UploadShown) -> None:
    from triptych.cli.tables import console, local_time, shown

    console.print(
        f"{shown(each.source)}  {shown(each.name)}  {each.size_bytes:,} bytes, "
        f"{local_time(each.created_at)} by {shown(each.uploaded_by)}",
        soft_wrap=True,
    )
    if each.brands:
        console.print(f"    the source of {shown(', '.join(each.brands))}", soft_wrap=True)
    if each.kept_until is not None:
        console.print(f"    kept until {local_time(each.kept_until)}", style="dim")


@uploads.command(cls=HelpCommand)
@command(server=True)
async def delete(call: Invocation, upload: UploadId) -> None:
    """Delete an upload that no brand uses."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        await client.delete_upload(upload)
    if call.json:
        print_json({"deleted": upload})
    else:
        typer.echo(f"Deleted {upload}.")
