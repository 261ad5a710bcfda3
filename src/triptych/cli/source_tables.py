"""Printing what a source was found to be."""

from __future__ import annotations

from rich.table import Table

from triptych.cli.tables import console, shown
from triptych.gather.source import ListFound
from triptych.gather.source_check import SourceCheck
from triptych.shown_url import text_without_credentials

METADATA_SHOWN_CHARS = 60


def print_check(found: SourceCheck) -> None:
    """Print a source's format and columns, its first rows, and what a run would take of it."""
    console.print(f"[bold]{shown(found.source)}[/]", soft_wrap=True)
    for each in found.lists:
        _print_list(each)
    if found.brands:
        console.print(f"  brands    {shown(', '.join(found.brands))}", soft_wrap=True)
    _print_first_rows(found)
    part = "" if found.whole else "  [yellow](its beginning; the rest was not read)[/]"
    console.print(
        f"  rows      {found.rows_read:,} read = {found.items:,} items + "
        f"{found.rows_merged:,} merged + {found.rows_refused:,} refused{part}"
    )
    for problem in found.problems:
        console.print(
            f"  [yellow]{shown(problem.outcome):<9}[/] {problem.count:,} × "
            f"{shown(problem.problem)} "
            f"[dim]{shown(', '.join(problem.places))}[/]",
            soft_wrap=True,
        )
    if found.items == found.items_failed:
        console.print("  A run would have nothing to fetch.", style="red")
    console.print("Nothing was started.", style="dim")


def _print_list(found: ListFound) -> None:
    details = ", ".join(text for text in (found.encoding, found.delimiter) if text)
    kind = f"{found.format} ({details})" if details else found.format
    console.print(f"  {shown(found.name)}: {shown(kind)}", soft_wrap=True)
    if found.columns is not None:
        console.print(
            f"  columns   {shown(text_without_credentials(', '.join(found.columns)))}",
            soft_wrap=True,
        )
    console.print(f"  URLs in   {shown(', '.join(found.url_columns)) or '–'}", soft_wrap=True)
    if found.brand_column is not None:
        console.print(f"  brand in  {shown(found.brand_column)}", soft_wrap=True)
    for note in found.notes:
        console.print(
            f"  [yellow]note[/]      {shown(text_without_credentials(note))}", soft_wrap=True
        )


def _print_first_rows(found: SourceCheck) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("place", "URL", "metadata"):
        table.add_column(name, overflow="fold")
    for row in found.first_rows:
        values = ", ".join(f"{name}={value}" for name, value in row.metadata.items())
        metadata = text_without_credentials(values)
        problem = f"[yellow]{shown(row.problem)}[/] " if row.problem else ""
        table.add_row(
            shown(row.place), problem + shown(row.url), shown(metadata[:METADATA_SHOWN_CHARS])
        )
    if found.first_rows:
        console.print(table)
