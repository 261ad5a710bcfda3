"""Row 1: download, SHA-256, store, committed rows; nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Callable

from bench.lanes import PEERS, WORK, Contender, Lane, Spent, interleaved, laned
from bench.origin import origin, write_list
from bench.results import Aim, Entry, compared

ROW = 1
TITLE = "download and store"
FULL = {"urls": 4000, "rounds": 5}
REDUCED = {"urls": 200, "rounds": 1}
AIM = Aim("≥ 1.5", least=1.5)
AS_IT_IS = {"resize_mode": "no", "disable_all_reencoding": True}


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    urls, cores = size["urls"], os.cpu_count() or 1
    with origin(urls) as base:
        every = write_list(WORK / "urls.csv", [f"{base}/{n}.jpg" for n in range(urls)])
        one = write_list(WORK / "one.csv", [f"{base}/0.jpg"])
        whole = {"brand": "all", "source": f"manifest:{every}", "list": str(every), "urls": urls}
        # The first run of anything is not counted: it starts what is started only then.
        first = {"brand": "one", "source": f"manifest:{one}", "list": str(one), "urls": 1}

        def work(lane: Lane) -> Spent:
            start = lane.run(**first, shard=1)
            spent = lane.run(**whole, shard=max(1, urls // (2 * cores)))
            # img2dataset starts its processes anew each time, so what that takes is taken off.
            return spent.less(start)

        settings = {"embedder": "none", "decode": False, "robots": False, "host_concurrency": 64}
        contenders = [
            Contender("triptych", "bench.ours.brand", {"settings": settings}),
            Contender(
                "img2dataset",
                "bench.peers.img2dataset_lane",
                {"processes": cores, "options": AS_IT_IS},
                python=PEERS,
            ),
        ]
        spent = interleaved(laned(contenders, work), size["rounds"], tell)
    return [
        compared(
            ROW,
            f"{urls:,} JPEGs of 50 kB from nginx: download, SHA-256, store, commit",
            "img2dataset, files, no re-encoding",
            "images/CPU-s",
            *([urls / each.cpu_s for each in spent[c.name]] for c in contenders),
            aim=AIM,
            wall={
                c.name: [round(urls / each.wall_s) for each in spent[c.name]] for c in contenders
            },
        )
    ]
