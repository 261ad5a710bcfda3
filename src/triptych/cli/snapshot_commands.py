"""Commands that list a brand's snapshots, compare two of them, and restore one or a backup."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from triptych.cli.backup_commands import restore_data_folder
from triptych.cli.invocation import Invocation, command
from triptych.cli.options import AfterOption, BrandArgument, copied_cursor
from triptych.cli.run_commands import follow_run

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.client import Client

DIFFERENCES = 20
PHASES = ("gather", "ai")
"""The phases of a restore: it acquires nothing."""

SnapshotArgument = Annotated[
    UUID | None,
    typer.Argument(metavar="[SNAPSHOT]", help="A snapshot's id, as `snapshots` lists it."),
]
RestoredArgument = Annotated[
    str,
    typer.Argument(
        metavar="BRAND|BACKUP",
        help="The brand's name; or, without a snapshot, the folder of a backup.",
    ),
]


@command(server=True)
async def snapshots(call: Invocation, brand: BrandArgument) -> None:
    """List a brand's kept snapshots, newest first."""
    from triptych.cli.json_output import print_json
    from triptych.cli.snapshot_tables import print_snapshots

    async with call.open_client() as client:
        found = await client.snapshots(brand)
    if call.json:
        print_json({"items": found})
    else:
        print_snapshots(found)


@command(server=True)
async def diff(
    call: Invocation,
    brand: BrandArgument,
    old: Annotated[UUID, typer.Argument(metavar="OLD", help="A snapshot to compare from.")],
    new: Annotated[
        UUID | None, typer.Argument(metavar="NEW", help="The one to compare with [the current].")
    ] = None,
    change: Annotated[
        Literal["added", "removed", "changed"] | None,
        typer.Option("--change", help="Only what was added, removed or changed."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Maximum number of URLs.")
    ] = DIFFERENCES,
    after: AfterOption = None,
) -> None:
    """Show what two kept snapshots of a brand have otherwise."""
    from triptych.cli.json_output import print_json
    from triptych.cli.snapshot_tables import print_difference

    async with call.open_client() as client:
        to = new or await _current(client, brand)
        counts = await client.difference_counts(brand, old, to)
        with copied_cursor():
            found, following = await client.difference(
                brand, old, to, limit=limit, cursor=after, change=change
            )
    if call.json:
        of = {"old": old, "new": to, "counts": counts}
        print_json({**of, "items": found, "next": following})
    else:
        print_difference(counts, found, following)


@command(server=True)
async def restore(
    call: Invocation,
    brand: RestoredArgument,
    snapshot: SnapshotArgument = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    sealing_key: Annotated[
        Path | None,
        typer.Option(
            "--sealing-key",
            metavar="FILE",
            help="Of a backup without it: a copy of its sealing key.",
        ),
    ] = None,
) -> bool:
    """Restore an older snapshot of a brand, or a backup.

    A snapshot becomes the brand's current one again. What that changes is said first; if no worker
    serves the phases, this process does. The exit code is 0 only if it committed.

    A backup becomes the data folder that `--data` names, which must be new or empty. The exit code
    is 0 only if every row has its object afterwards.
    """
    if snapshot is None:
        return await restore_data_folder(call, Path(brand), sealing_key)
    from triptych.cli.log_output import say
    from triptych.cli.snapshot_tables import counts_text, model_note

    async with call.open_client(stand_in=PHASES) as client:
        current = await _current(client, brand)
        if current != snapshot:
            counts = await client.difference_counts(brand, current, snapshot)
            say(f"Restoring {brand} from {current} to {snapshot}: {counts_text(counts)}.")
            if note := model_note(counts):
                say(note)
            if not yes and not await _agreed():
                return False
        opened = await client.restore(brand, snapshot)
        return await follow_run(call, client.watch(opened.id))


async def _agreed() -> bool:
    """Ask at a terminal; a script named the snapshot, and is not asked."""
    if not sys.stdin.isatty():
        return True
    return await asyncio.to_thread(typer.confirm, "Restore it?", err=True)


async def _current(client: Client, brand: str) -> UUID:
    """Return the brand's current snapshot.

    Raises:
        Conflict: it has none yet.
    """
    from triptych.errors import Conflict

    current = (await client.brand(brand, fresh=True)).current_run
    if current is None:
        raise Conflict(f"Brand {brand!r} has no snapshot yet.", remedy="Wait for its first commit.")
    return current
