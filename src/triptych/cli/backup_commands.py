"""The commands that back a data folder up, and restore one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triptych.cli.invocation import Invocation, command

# A command's imports are deferred until it runs, so that `--help` is quick.

KEEP_MAX = 10_000


@command()
async def backup(
    call: Invocation,
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DESTINATION", help="Folder of all backups, on another disk; created if needed."
        ),
    ],
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            metavar="NUMBER",
            min=1,
            max=KEEP_MAX,
            help="Keep so many backups, and remove older ones afterwards [all].",
        ),
    ] = None,
    without_key: Annotated[
        bool,
        typer.Option(
            "--without-key", help="Leave the sealing key out: keep a copy of it elsewhere."
        ),
    ] = False,
) -> bool:
    """Back the data folder up: database, objects and sealing key.

    `triptych up` may run meanwhile. Objects that the destination has already are not copied again.
    The exit code is 0 only if the backup is complete and every row of it has its object.
    """
    from triptych.cli.backup_lines import Bar, print_backup
    from triptych.cli.log_output import say
    from triptych.wiring.backing_up import BackupWanted, back_up

    wanted = BackupWanted(destination, with_key=not without_key, keep=keep)
    with Bar(shown=not call.json) as progress:
        made = await back_up(call.settings(), wanted, progress=progress, say=say)
    print_backup(made, json=call.json)
    return made.manifest.objects.missing == 0


async def restore_data_folder(call: Invocation, place: Path, sealing_key: Path | None) -> bool:
    """Make the data folder of a backup; return whether every row has its object."""
    from triptych.cli.backup_lines import Bar, print_restored
    from triptych.cli.log_output import say
    from triptych.wiring.restoring import restore_backup

    with Bar(shown=not call.json) as progress:
        restored = await restore_backup(
            call.settings(), place, sealing_key=sealing_key, progress=progress, say=say
        )
    print_restored(restored, json=call.json)
    return restored.tally.wrong == 0
