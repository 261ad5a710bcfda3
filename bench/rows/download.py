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
SETTINGS = {"embedder": "none", "decode": False, "host_concurrency": 64}
"""One server has all the pictures here, and is ours to ask as often as a peer does."""


def orders(base: str, urls: int) -> tuple[dict[str, object], dict[str, object]]:
    """Return a first order of one URL, which is not counted, and that of all of them."""
    cores = os.cpu_count() or 1
    every = write_list(WORK / "urls.csv", [f"{base}/{n}.jpg" for n in range(urls)])
    one = write_list(WORK / "one.csv", [f"{base}/0.jpg"])
    return (
        {"brand": "one", "source": f"manifest:{one}", "list": str(one), "urls": 1, "shard": 1},
        {
            "brand": "all",
            "source": f"manifest:{every}",
            "list": str(every),
            "urls": urls,
            "shard": max(1, urls // (2 * cores)),
        },
    )


def img2dataset() -> Contender:
    """Return img2dataset, keeping the files as they come."""
    return Contender(
        "img2dataset",
        "bench.peers.img2dataset_lane",
        {
            "processes": os.cpu_count() or 1,
            "options": {"resize_mode": "no", "disable_all_reencoding": True},
        },
        python=PEERS,
        environment={"NO_ALBUMENTATIONS_UPDATE": "1"},
    )


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    urls = size["urls"]
    with origin(urls) as base:
        first, whole = orders(base, urls)

        def work(lane: Lane) -> Spent:
            start = lane.run(**first)
            spent = lane.run(**whole)
            # img2dataset starts its processes anew for each order: what that takes is taken off.
            return spent.less(start) if lane.told.get("restarts") else spent

        contenders = [
            Contender("triptych", "bench.ours.brand", {"settings": SETTINGS}),
            img2dataset(),
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
            wall={c.name: [round(urls / s.wall_s) for s in spent[c.name]] for c in contenders},
        )
    ]
