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
from rich.markdown import Markdown

from bench import report
from bench.paths import PEERS, WORK
from bench.results import Book
from bench.rows import (
    cold,
    committing,
    download,
    embedding,
    fan_in,
    growth,
    live,
    messages,
    neighbours,
    reads,
    stages,
)

ROWS: tuple[ModuleType, ...] = (
    *(download, embedding, fan_in, committing, messages),
    *(live, reads, growth, neighbours, cold, stages),
)
CONSOLE = Console(soft_wrap=True, highlight=False)


def machine() -> dict[str, object]:
    """Return what the figures were taken on."""
    cores = len(os.sched_getaffinity(0))
    return {"cores": cores, "machine": platform.machine(), "load": round(os.getloadavg()[0], 1)}


def run_row(row: ModuleType, size: str, book: Book) -> bool:
    """Measure a row, write it down and show it; tell whether that went well."""
    begun = time.monotonic()

    def tell(text: str) -> None:
        CONSOLE.print(f"  [{time.monotonic() - begun:5.0f} s] {text}", markup=False)

    CONSOLE.print(f"row {row.ROW}: {row.TITLE}")
    try:
        entries = row.measure(row.FULL if size == "full" else row.REDUCED, tell)
    except Exception:  # noqa: BLE001 - one row's failure leaves the others their turn
        CONSOLE.print_exception()
        return False
    book.write(row.ROW, entries, machine())
    CONSOLE.print(Markdown(report.comparisons(entries)))
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
        failed = [row.ROW for row in wanted if not run_row(row, size, book)]
    finally:
        shutil.rmtree(WORK / "lanes", ignore_errors=True)
    if size == "full" and book.entries():
        report.write(report.PAGE, report.IMAGES, book.entries())
    if failed:
        CONSOLE.print(f"failed: {failed}")
        return 1
    if not asked.rows:
        book.finish()
    CONSOLE.print(Markdown(report.comparisons(book.entries())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
