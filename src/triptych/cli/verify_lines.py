"""What `triptych verify` finds, on the terminal or as lines of JSON."""

from __future__ import annotations

import msgspec
from rich.live import Live
from rich.text import Text

from triptych.cli.json_output import print_json_line
from triptych.cli.tables import console, shown
from triptych.snapshots.object_check import Finding, ObjectCheck, Problem, Tally
from triptych.wiring.verification import Verification

SAYS = {
    Problem.MISSING: "missing",
    Problem.WRONG_SIZE: "of another size",
    Problem.WRONG_HASH: "of other bytes",
    Problem.UNREADABLE: "unreadable",
    Problem.UNREFERRED: "named by no row",
    Problem.THUMBNAIL_DAMAGED: "a damaged thumbnail",
}
PER_SECOND = 4
"""Times that the line of progress is drawn."""
GB = 1e9


async def print_findings(verification: Verification, *, json: bool) -> None:
    """Print each finding on a line as it is made, and how far the check is below them."""
    if json:
        async for finding in verification.findings:
            print_json_line(finding)
        return
    check = verification.check
    with Live(
        get_renderable=lambda: _progress(check),
        console=console,
        transient=True,
        refresh_per_second=PER_SECOND,
    ):
        async for finding in verification.findings:
            console.print(finding_line(finding), soft_wrap=True)


def _progress(check: ObjectCheck) -> Text:
    tally = check.tally
    return Text(
        f"folder {check.folder:02x} of ff · {tally.objects:,} objects · "
        f"{tally.bytes_read / GB:,.1f} GB read · {tally.wrong:,} damaged",
        style="dim",
    )


def finding_line(finding: Finding) -> str:
    """Return a finding as a line for the terminal."""
    whole = finding.repaired or finding.problem is Problem.UNREFERRED
    mark = "[yellow]![/]" if whole else "[red]✗[/]"
    used = f", of {', '.join(finding.brands)}: {finding.url}" if finding.brands else ""
    outcome = f" · {finding.outcome}" if finding.outcome else ""
    return f"{mark} {shown(finding.object)} is {SAYS[finding.problem]}{shown(used + outcome)}"


def print_tally(tally: Tally, *, json: bool, repair: bool) -> None:
    """Print what was counted."""
    if json:
        print_json_line({**msgspec.to_builtins(tally), "wrong": tally.wrong})
        return
    console.print(
        f"{tally.objects:,} objects ({tally.bytes_read / GB:,.3f} GB read): {tally.missing:,} "
        f"missing, {tally.wrong_size:,} of another size, {tally.wrong_hash:,} of other bytes, "
        f"{tally.unreadable:,} unreadable."
    )
    if repair:
        console.print(f"{tally.repaired:,} repaired, {tally.wrong:,} not.")
    elif tally.wrong:
        console.print("`triptych verify --repair` fetches them again; so does a run of the brand.")
    if tally.thumbnails:
        console.print(
            f"{tally.thumbnails:,} thumbnails: {tally.thumbnail_damaged:,} damaged; "
            f"{tally.thumbnails_of_older_versions:,} more of older versions are not used."
        )
    if tally.unreferred:
        console.print(
            f"{tally.unreferred:,} objects ({tally.unreferred_bytes / GB:,.3f} GB) are named by no "
            "row. They do no harm; no command deletes them."
        )
    if tally.waiting or tally.young:
        console.print(
            f"{tally.waiting:,} objects wait for the collector, and {tally.young:,} are too young "
            "to say whose they are."
        )
