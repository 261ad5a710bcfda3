"""Beside the rows: where a URL's processor time goes, by stage, as in rows 1 and 2."""

from __future__ import annotations

from collections.abc import Callable

from bench.lanes import Contender, running
from bench.origin import origin
from bench.results import Aim, Entry
from bench.rows.download import SETTINGS, orders

ROW = 11
TITLE = "where a URL's processor time goes"
FULL = {"urls": 4000}
REDUCED = {"urls": 40}
NONE = Aim("–")
KINDS = {
    "stored as they are": SETTINGS,
    "decoded and embedded": {"host_concurrency": 64},
}


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    entries: list[Entry] = []
    with origin(size["urls"]) as base:
        first, whole = orders(base, size["urls"])
        for kind, settings in KINDS.items():
            with running(Contender("stages", "bench.ours.stages", {"settings": settings})) as lane:
                lane.run(**first)
                stages = lane.run(**whole).told["stages"]
            tell(f"{kind}: {stages}")
            entries.append(
                {
                    "id": ROW,
                    "work": f"CPU of a URL by stage, {kind}",
                    "against": None,
                    "ours": round(sum(stages.values())),
                    "beside": None,
                    "unit": "µs",
                    "ratio": None,
                    "aim": NONE.text,
                    "met": True,
                    "rounds": [round(sum(stages.values()))],
                    "stages": stages,
                }
            )
    return entries
