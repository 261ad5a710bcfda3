"""Row 2: the same as row 1 with every picture decoded and embedded."""

from __future__ import annotations

import os
from collections.abc import Callable

from bench.lanes import Contender, Lane, Spent, interleaved, laned
from bench.origin import PICTURES, origin
from bench.results import Aim, Entry, compared
from bench.rows.download import img2dataset, orders

ROW = 2
TITLE = "download, decode, embed, store"
FULL = {"urls": 4000, "rounds": 3}
REDUCED = {"urls": 40, "rounds": 1}
OF_THE_LIMIT = Aim("≥ 0.9", least=0.9)
AHEAD = Aim("> 1", least=1.0)


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    urls, cores = size["urls"], os.cpu_count() or 1

    with origin(urls) as base:
        first, whole = orders(base, urls)

        def work(lane: Lane) -> Spent:
            start = lane.run(**first)
            spent = lane.run(**whole)
            return spent.less(start) if lane.told.get("restarts") else spent

        contenders = [
            Contender("triptych", "bench.ours.brand", {"settings": {"host_concurrency": 64}}),
            Contender(
                "limit",
                "bench.ours.bare_embedding",
                {"pictures": str(PICTURES), "threads": cores},
            ),
            img2dataset(),
        ]
        spent = interleaved(laned(contenders, work), size["rounds"], tell)
    ours = [urls / each.wall_s for each in spent["triptych"]]
    limit = [urls / each.wall_s for each in spent["limit"]]
    # The second pass is the bare loop over the files of the first.
    passes = zip(spent["img2dataset"], spent["limit"], strict=True)
    two = [urls / (first.wall_s + second.wall_s) for first, second in passes]
    cpu = {name: [round(urls / s.cpu_s, 1) for s in each] for name, each in spent.items()}
    work_text = f"{urls:,} JPEGs from nginx: download, decode, embed, store, commit"
    return [
        compared(
            ROW,
            work_text,
            "bare loop over local files: decode + ONNX Runtime",
            "images/s",
            ours,
            limit,
            OF_THE_LIMIT,
            per_cpu_s=cpu,
        ),
        compared(
            ROW,
            work_text,
            "img2dataset, then the bare loop over its files",
            "images/s",
            ours,
            two,
            AHEAD,
        ),
    ]
