"""What `triptych backup` and `triptych restore` say, on the terminal or as JSON."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from triptych.backups.manifest import Manifest, SealingKey
from triptych.cli.json_output import print_json
from triptych.cli.tables import console, shown
from triptych.cli.verify_lines import GB, finding_line, print_tally
from triptych.wiring.backing_up import BackupMade
from triptych.wiring.restoring import Restored

KEY_SAYS = {
    SealingKey.INCLUDED: "The sealing key is in it: treat the backup like the secrets that it "
    "opens.",
    SealingKey.LEFT_OUT: "The sealing key is NOT in it. Keep a copy of sealing.key elsewhere: "
    "without it webhooks and secrets of sources are lost.",
    SealingKey.ELSEWHERE: "The sealing key is in TRIPTYCH_SEALING_KEY, and not in the backup. Keep "
    "a copy of it.",
    SealingKey.NONE: "",
}


class Bar:
    """One bar for the part that is under way, as a `triptych.wiring.backing_up.Progress`."""

    def __init__(self, *, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %", style="progress.download"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, what: str, total: int | None) -> None:
        """Begin a part."""
        self._progress.reset(self._task, description=what, total=total)

    def reached(self, done: int) -> None:
        """Show how much of the part is done."""
        self._progress.update(self._task, completed=done)


def print_backup(made: BackupMade, *, json: bool) -> None:
    """Print what a backup has."""
    if json:
        print_json(
            {
                **msgspec.to_builtins(made.manifest),
                "folder": made.folder,
                "missing": made.copied.first_missing,
                "backups_removed": made.dropped,
                "objects_removed": made.dropped_objects,
            }
        )
        return
    objects = made.manifest.objects
    console.print(f"Backed up to {shown(str(made.folder))}.", soft_wrap=True)
    console.print(_counts(made.manifest), soft_wrap=True)
    console.print(
        f"{objects.copied:,} objects ({objects.copied_bytes / GB:,.3f} GB) were copied, "
        f"{objects.count - objects.copied - objects.missing:,} were there.",
        soft_wrap=True,
    )
    if made.manifest.runs_active:
        console.print(
            f"{made.manifest.runs_active:,} runs were under way: they go on after a restore.",
            soft_wrap=True,
        )
    if says := KEY_SAYS[made.manifest.sealing_key]:
        console.print(says, soft_wrap=True)
    if made.dropped or made.dropped_objects:
        console.print(
            f"Removed {made.dropped:,} older backups, and {made.dropped_objects:,} objects that "
            "no backup names any more."
        )
    for key in made.copied.first_missing:
        console.print(f"[red]✗[/] {shown(key)} is missing or damaged in the store", soft_wrap=True)
    if objects.missing:
        console.print(
            f"{objects.missing:,} objects are not in the backup: `triptych verify --repair` "
            "fetches them again, then back up again.",
            soft_wrap=True,
        )


def _counts(manifest: Manifest) -> str:
    rows = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in manifest.rows.items())
    objects = manifest.objects
    return (
        f"As of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC: {rows}; {objects.count:,} objects "
        f"({objects.size_bytes / GB:,.3f} GB)."
    )


def print_restored(restored: Restored, *, json: bool) -> None:
    """Print what a restored data folder has."""
    tally = restored.tally
    if json:
        print_json(
            {
                "data": restored.data,
                "backup": restored.backup,
                "manifest": restored.manifest,
                "applied": restored.applied,
                "runs_resumed": restored.runs_resumed,
                "runs_held": restored.runs_held,
                "verified": {**msgspec.to_builtins(tally), "wrong": tally.wrong},
                "findings": restored.findings,
            }
        )
        return
    console.print(
        f"Restored {shown(str(restored.backup))} into {shown(str(restored.data))}.", soft_wrap=True
    )
    console.print(_counts(restored.manifest), soft_wrap=True)
    if restored.applied:
        console.print(f"Migrated: {', '.join(restored.applied)}.", soft_wrap=True)
    if restored.runs_resumed:
        console.print(
            f"{restored.runs_resumed:,} runs were under way: the next `triptych up` goes on with "
            "them, with the time that they had left. `triptych cancel BRAND` ends one.",
            soft_wrap=True,
        )
    if restored.runs_held:
        console.print(f"{restored.runs_held:,} runs are held, and wait for a decision.")
    for finding in restored.findings:
        console.print(finding_line(finding), soft_wrap=True)
    print_tally(tally, json=False, repair=False)
