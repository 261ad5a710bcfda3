"""Row 4: the commit of many assets with embeddings, beside the bare driver's COPY of the rows."""

from __future__ import annotations

from collections.abc import Callable

from bench.lanes import Contender, Spent, interleaved, running
from bench.results import Aim, Entry, compared

ROW = 4
TITLE = "commit"
FULL = {"rows": 100_000, "rounds": 3}
REDUCED = {"rows": 2_000, "rounds": 1}
DIMENSIONS = (512, 1280)
AIM = Aim("≥ 0.8", least=0.8)


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    count = size["rows"]
    entries = []
    for dimension in DIMENSIONS:
        contender = Contender(
            f"commit {dimension}-d",
            "bench.ours.committing",
            {"rows": count, "dimension": dimension},
        )
        with running(contender) as lane:

            def commit() -> Spent:
                lane.run(what="prepare commit")
                return lane.run(what="commit")

            def commit_later() -> Spent:
                lane.run(what="prepare commit")
                lane.run(what="checkpoint")
                return lane.run(what="commit")

            def copy() -> Spent:
                lane.run(what="prepare copy")
                return lane.run(what="copy")

            works = {"commit": commit, "later": commit_later, "COPY": copy}
            spent = interleaved(works, size["rounds"], tell)
        rates = {name: [count / each.wall_s for each in every] for name, every in spent.items()}
        entries += [
            compared(
                ROW,
                f"commit of {count:,} assets with {dimension}-d embeddings, {when}",
                "binary COPY of the same rows by the bare driver",
                "rows/s",
                rates[name],
                rates["COPY"],
                aim=AIM,
                cpu_us_a_row={
                    each: [round(1e6 * s.cpu_s / count, 1) for s in spent[each]]
                    for each in (name, "COPY")
                },
            )
            for name, when in (
                ("commit", "their last item just settled"),
                ("later", "a checkpoint since"),
            )
        ]
    return entries
