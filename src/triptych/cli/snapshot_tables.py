"""Snapshots and their differences for people, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from triptych.cli.tables import console, shown
from triptych.model import RunKind
from triptych.snapshots.snapshot_shown import SnapshotShown
from triptych.snapshots.snapshot_store import Difference, DifferenceCounts

SIGNS = {"added": "[green]+[/]", "removed": "[red]-[/]", "changed": "[yellow]~[/]"}
KINDS = {
    RunKind.FULL: "",
    RunKind.ADD: "added to",
    RunKind.REEMBED: "embedded again",
    RunKind.RESTORE: "restored",
}
DATE = "%Y-%m-%d %H:%M"


def print_snapshots(snapshots: Sequence[SnapshotShown]) -> None:
    """Print one row per snapshot, with what it changed."""
    table = Table(box=None, pad_edge=False)
    for name in ("committed", "assets", "added", "changed", "removed", "", "snapshot"):
        table.add_column(name, justify="left" if name in {"committed", "", "snapshot"} else "right")
    for each in snapshots:
        counts = (each.assets, each.added or 0, each.changed or 0, each.removed or 0)
        table.add_row(
            f"{each.ended_at or each.created_at:{DATE}}",
            *(f"{count:,}" for count in counts),
            "[green]current[/]" if each.current else KINDS[each.kind],
            str(each.run),
        )
    console.print(table)


def print_older(snapshot: SnapshotShown) -> None:
    """Say that what follows is of an older snapshot, if it is."""
    if not snapshot.current:
        at = f"{snapshot.ended_at or snapshot.created_at:{DATE}}"
        console.print(f"An older snapshot, committed {at}; not the current one.", style="yellow")


def counts_text(counts: DifferenceCounts) -> str:
    """Return the numbers of a difference as text."""
    return (
        f"{counts.added:,} added · {counts.changed:,} changed · "
        f"{counts.removed:,} removed · {counts.kept:,} kept"
    )


def model_note(counts: DifferenceCounts) -> str | None:
    """Return what to say of embeddings of another model; None if there are none."""
    if not counts.other_model:
        return None
    return (
        f"{counts.other_model:,} assets are embedded by a model that the first snapshot has not; "
        "`triptych reembed` makes them comparable."
    )


def print_difference(
    counts: DifferenceCounts, changes: Sequence[Difference], following: str | None
) -> None:
    """Print the numbers of a difference, one line per URL, and the cursor of the next page."""
    console.print(counts_text(counts))
    if note := model_note(counts):
        console.print(note, style="yellow")
    for change in changes:
        console.print(f"{SIGNS[change.change]} {shown(change.url)}", soft_wrap=True)
    if following is not None:
        console.print(f"Continue with --after {shown(following)}", style="dim", soft_wrap=True)
