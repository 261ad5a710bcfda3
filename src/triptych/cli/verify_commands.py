"""The command that checks stored bytes against the database, and repairs them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.errors import BadInput, TriptychError

# A command's imports are deferred until it runs, so that `--help` is quick.

AT_ONCE = 8
AT_ONCE_MAX = 64
FOLDER_DIGITS = "0123456789abcdef"


@command()
async def verify(
    call: Invocation,
    brands: Annotated[
        list[str] | None, typer.Argument(metavar="[BRAND]...", help="Only of these brands [all].")
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Fetch what is damaged or lost again, if its URL has the same bytes."
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Look at presence and size; read nothing.")
    ] = False,
    at_once: Annotated[
        int,
        typer.Option("--at-once", min=1, max=AT_ONCE_MAX, help="Objects read at the same time."),
    ] = AT_ONCE,
    first: Annotated[
        str,
        typer.Option("--from", metavar="XX", help="Begin with this folder of objects, 00 to ff."),
    ] = "00",
) -> bool:
    """Check the stored bytes of all assets against their hashes.

    What no asset uses is told, too. The exit code is 0 only if nothing is damaged or lost, or all
    of it was repaired.
    """
    from triptych.cli.log_output import say
    from triptych.cli.verify_lines import print_findings, print_tally
    from triptych.wiring.verification import Wanted, open_verification

    wanted = Wanted(brands or [], quick, repair, at_once, _folder(first))
    async with open_verification(call.settings(), wanted, say=say) as verification:
        check = verification.check
        try:
            await print_findings(verification, json=call.json)
        except (asyncio.CancelledError, TriptychError):
            say(f"Stopped: `--from {check.folder:02x}` goes on from here.")
            raise
        print_tally(check.tally, json=call.json, repair=repair)
        return check.tally.wrong == 0


def _folder(name: str) -> int:
    """Return the number of a folder.

    Raises:
        BadInput: it is not two hexadecimal digits.
    """
    if len(name) != 2 or not set(name) <= set(FOLDER_DIGITS):
        raise BadInput(
            f"There is no folder {name!r}.", field="--from", remedy="Write two digits, 00 to ff."
        )
    return int(name, 16)
