"""Row 1: download, SHA-256, store, committed rows; nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Callable

from bench.lanes import Contender, Lane, Spent, Tell, figures, measured
from bench.origin import origin, write_list
from bench.paths import PEERS
from bench.program import Given
from bench.results import Aim, Entry, each_compared

ROW = 1
TITLE = "download and store"
FULL = {"urls": 4000, "rounds": 5}
REDUCED = {"urls": 200, "rounds": 1}
AIM = Aim("≥ 1.5", least=1.5)
EMBEDDED = {"host_concurrency": 64}
"""One server has all the pictures here, and is ours to ask as often as a peer does."""
STORED = {**EMBEDDED, "embedder": "none", "decode": False}
CORES = os.cpu_count() or 1
PARTS = 2
"""Of img2dataset's, for each of its processes."""


def order(brand: str, urls: list[str]) -> Given:
    """Return what a contender is to download, told in its way to each."""
    path = write_list(f"{brand}.csv", urls)
    shard = max(1, len(urls) // (PARTS * CORES))
    return {
        "brand": brand,
        "source": f"manifest:{path}",
        "list": path,
        "urls": len(urls),
        "shard": shard,
    }


def downloads(base: str, urls: int) -> Callable[[Lane], Spent]:
    """Return what has a contender download so many, after a first one that is not counted."""
    first = order("one", [f"{base}/0.jpg"])
    whole = order("all", [f"{base}/{n}.jpg" for n in range(urls)])

    def work(lane: Lane) -> Spent:
        start, spent = lane.run(**first), lane.run(**whole)
        # img2dataset starts its processes again for each order: the time that takes is subtracted.
        return spent.less(start) if lane.told.get("restarts") else spent

    return work


def img2dataset() -> Contender:
    """Return img2dataset, keeping the files as they come."""
    options = {"resize_mode": "no", "disable_all_reencoding": True}
    return Contender(
        "img2dataset",
        "bench.peers.download:img2dataset",
        {"processes": CORES, "options": options},
        PEERS,
        {"NO_ALBUMENTATIONS_UPDATE": "1"},
    )


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    urls = size["urls"]
    contenders = [
        Contender("triptych", "bench.ours.brand:brand", {"settings": STORED}),
        img2dataset(),
    ]
    with origin(urls) as base:
        spent = measured(contenders, downloads(base, urls), size["rounds"], tell)
    return each_compared(
        ROW,
        f"{urls:,} JPEGs of 50 kB from nginx: download, SHA-256, store, commit",
        "images/CPU-s",
        figures(spent, lambda s: urls / s.cpu_s),
        {"img2dataset": ("img2dataset, files, no re-encoding", AIM)},
        wall=figures(spent, lambda s: round(urls / s.wall_s)),
    )
