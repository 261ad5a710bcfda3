"""Run the bench: ``python -m bench [--reduced] [ROW …]``; ``make bench`` and ``make bench ID=3``.

Results go to ``bench/results/latest.json`` row by row, and from there to docs/performance.md; of
the reduced form, which only shows that every row runs, to ``reduced.json``.
Interrupted, it goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from types import ModuleType

from rich.console import Console
from rich.table import Table

from bench import report
from bench.lanes import PEERS, WORK
from bench.results import Book, Entry
from bench.rows import ROWS

CONSOLE = Console(soft_wrap=True)


def machine() -> dict[str, object]:
    """Return what the figures were taken on."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": cores, "machine": platform.machine(), "load": round(os.getloadavg()[0], 1)}


def run_row(row: ModuleType, size: str, book: Book) -> list[Entry]:
    """Measure a row and write it down."""
    begun = time.monotonic()

    def tell(text: str) -> None:
        CONSOLE.print(
            f"  [{time.monotonic() - begun:5.0f} s] {text}", highlight=False, markup=False
        )

    CONSOLE.print(f"row {row.ROW}: {row.TITLE}", highlight=False)
    entries: list[Entry] = row.measure(row.FULL if size == "full" else row.REDUCED, tell)
    book.write(row.ROW, entries, machine())
    return entries


def table(entries: list[Entry]) -> Table:
    """Return the comparisons as a table."""
    shown = Table(box=None, title_justify="left")
    for name in ("#", "work", "against", "ours", "beside", "unit", "ratio", "aim", "met"):
        shown.add_column(name, justify="right" if name in {"ours", "beside", "ratio"} else "left")
    for each in entries:
        figures = ["–" if each[n] is None else f"{each[n]:,g}" for n in ("ours", "beside")]
        ratio = "–" if each["ratio"] is None else f"{each['ratio']:.2f}"
        met = "yes" if each["met"] else "no"
        name = each["against"] or "–"
        head = (str(each["id"]), each["work"], name, *figures, each["unit"])
        shown.add_row(*head, ratio, each["aim"], met)
    return shown


def shown(row: ModuleType, size: str, book: Book) -> bool:
    """Measure a row and show it; tell whether that went well."""
    try:
        CONSOLE.print(table(run_row(row, size, book)))
    except Exception:  # noqa: BLE001 - one row's failure leaves the others their turn
        CONSOLE.print_exception()
        return False
    return True


def main() -> int:
    """Run what was asked for; return 1 if a row failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, help="rows to run, all if none is named")
    parser.add_argument("--reduced", action="store_true", help="small sizes, figures mean nothing")
    asked = parser.parse_args()
    if not PEERS.exists():
        print("The peers are not installed: run `make bench`.", file=sys.stderr)
        return 2
    size = "reduced" if asked.reduced else "full"
    book = Book(size)
    done = set() if asked.rows else book.done()
    if done:
        CONSOLE.print(f"going on; done already: {sorted(done)}")
    wanted = [row for row in ROWS if row.ROW not in done]
    if asked.rows:
        wanted = [row for row in ROWS if row.ROW in asked.rows]
    try:
        failed = [row.ROW for row in wanted if not shown(row, size, book)]
    finally:
        shutil.rmtree(WORK / "lanes", ignore_errors=True)
    if size == "full" and book.entries():
        report.write(report.PAGE, report.IMAGES, book.entries())
    if failed:
        CONSOLE.print(f"failed: {failed}")
        return 1
    if not asked.rows:
        book.finish()
    CONSOLE.print(table(book.entries()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
