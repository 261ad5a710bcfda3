"""Commands for dead letters: messages that could not be processed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.client import Client

AT_ONCE = 1000
"""Dead letters of one request."""
BODY_SHOWN_CHARS = 120

LetterIds = Annotated[
    list[int] | None, typer.Argument(metavar="[ID]...", help="Their ids, as `list` shows them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All that wait, instead of ids.")]

letters = typer.Typer(
    name="dead-letters",
    cls=HelpGroup,
    help="List, redrive and discard dead letters.\n\nNo worker could process these messages.",
    no_args_is_help=True,
)


@letters.command("list", cls=HelpCommand)
@command(server=True)
async def list_letters(call: Invocation) -> None:
    """List dead letters, newest first, each with the reason."""
    import orjson

    from triptych.cli.json_output import print_json
    from triptych.cli.terminal_text import printable

    async with call.open_client() as client:
        found = [letter async for letter in client.dead_letters()]
    if call.json:
        print_json({"items": found})
        return
    for letter in found:
        body = orjson.dumps(letter.body).decode()[:BODY_SHOWN_CHARS]
        sent = f"  sent again {letter.redriven_at:%Y-%m-%d %H:%M}" if letter.redriven_at else ""
        line = f"{letter.id}  {letter.at:%Y-%m-%d %H:%M}  {letter.queue}  {body}{sent}"
        typer.echo(printable(line))
        typer.echo(printable(f"    {letter.reason}"))


@letters.command("redrive", cls=HelpCommand)
@command(server=True)
async def redrive_letters(
    call: Invocation, ids: LetterIds = None, every: AllOption = False
) -> None:
    """Send dead letters to the queues they came from."""
    async with call.open_client() as client:
        await _do(call, client, client.redrive_letters, "redriven", (ids, every))


@letters.command("discard", cls=HelpCommand)
@command(server=True)
async def discard_letters(
    call: Invocation, ids: LetterIds = None, every: AllOption = False
) -> None:
    """Delete dead letters for good; what failed with them stays failed."""
    async with call.open_client() as client:
        await _do(call, client, client.discard_letters, "discarded", (ids, every))


async def _do(
    call: Invocation,
    client: Client,
    act: Callable[[Sequence[int]], Awaitable[int]],
    done: str,
    which: tuple[Sequence[int] | None, bool],
) -> None:
    """Do something with the letters of these ids, or with all that wait, and say with how many.

    Raises:
        BadInput: neither ids nor all were asked for, or both.
    """
    from triptych.cli.json_output import print_json
    from triptych.errors import BadInput

    ids, every = which
    if bool(ids) is every:
        raise BadInput("Name dead letters by their ids, or all.", field="ID", remedy="Or --all.")
    chosen = ids or [
        letter.id async for letter in client.dead_letters() if letter.redriven_at is None
    ]
    count, remaining = 0, iter(chosen)
    while some := list(islice(remaining, AT_ONCE)):
        count += await act(some)
    if call.json:
        print_json({done: count})
    else:
        typer.echo(f"{count:,} {done}.")
