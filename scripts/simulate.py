"""How long large brands take on AWS, and what saturates first: ``python -m scripts.simulate``.

Prints the tables of docs/scaling.md. What the deployment does is read from where it is decided: the
settings' defaults, `infra.sizes`, `infra.profiles`, limits in the code, and the measurements in
bench/results/latest.json. What AWS does, and what was measured elsewhere, are the named constants
here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.profiles import PROFILES
from infra.sizes import BATCH, CLIENTS_A_TASK, SCALE_OUT_S, SHAPES, SIZES, TASK_WINDOW

from scripts.paces import LAMBDA_BATCH_S, URLS_SECOND
from triptych.ai.step import SNAPSHOT_MAX_ASSETS_IN_MEMORY
from triptych.live.limits import RUN_EVERY_S
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.fleet_store import Fleet
from triptych.runs.postgres.commit import commit_timeout_s
from triptych.settings.settings import Settings
from triptych.snapshots.postgres.postgres_retention import scan_timeout_s
from triptych.snapshots.search_service import DEADLINE_S
from triptych.workers.indexer import ASSETS_AT_ONCE

PROFILE = PROFILES["prod"]
BENCH = Path(__file__).resolve().parents[1] / "bench" / "results" / "latest.json"
MILLION = 1_000_000
STEP_S = 10.0
SIMULATED_MAX_S = 90 * 24 * 3600.0

METRIC_S = 60.0
"""Between what happens and its metric: CloudWatch's metrics of SQS come once a minute."""
ALARM_S = 180.0
"""Target tracking acts after three such minutes (Application Auto Scaling's guide)."""
START_S = 240.0
"""From a wanted task to one that works, where its host has to start first: docs/scaling.md."""
DISK_MIB_S = 125.0
"""RDS gp3 below 400 GiB (Amazon RDS' guide, storage types)."""
STAGED_KB = 3.5
ASSET_KB = 3.5
SEARCHABLE_KB = 6.9
"""A row with its entries in indexes, of 10,000 rows with 1280-d embeddings on Postgres 18."""
LOGGED = 2.0
"""Bytes written for each byte of a new row: in its table, and in the write-ahead log."""
INDEX_S = 0.5
"""For `ASSETS_AT_ONCE`, while the index is in memory."""
INDEX_LARGE_ASSETS_S = 75.0
"""Assets a second that were seen when it was not."""
EXACT_SEARCH_S = 0.41
"""To compare a picture with 100,000 others, exactly."""
EXACT_SEARCH_ASSETS = 100_000
SIZES_SHOWN = (MILLION, 10 * MILLION, 100 * MILLION)
DASHBOARDS = 5_000
BRANDS_A_DAY = 1_000
URLS_A_BRAND = 10_000


def measured(row: int, work: str) -> float:
    """Return what the bench measured of Triptych, by the row's number and a part of its name.

    Raises:
        LookupError: there is no such row.
    """
    rows = json.loads(BENCH.read_text(encoding="utf-8"))
    for each in filter(None, rows):
        if each["id"] == row and work in each["work"]:
            return float(each["ours"])
    raise LookupError(f"bench/results/latest.json has no row {row} of {work!r}")


DATABASE_URLS_S = measured(3, "fan-in")
"""URLs a second that the database alone takes through a run, on two processors."""
COMMIT_ROWS_S = measured(4, "1280-d embeddings, a checkpoint")
DUPLICATES_S = measured(9, "near-duplicate")
"""For 100,000 pictures; it grows with the square."""
CLUSTERS_S = measured(9, "clusters")


WINDOW = DispatchWindow(TASK_WINDOW, int(Settings.model_fields["dispatch_window_max"].default))


@dataclass(frozen=True)
class Acquired:
    """How the URLs of brands that start together were acquired."""

    seconds: float
    tasks: int
    """The most that worked at a time."""
    all_tasks_s: float | None
    """When the most that the profile allows worked; None if that never was."""


def acquire(urls: int, *, brands: int = 1, window: DispatchWindow = WINDOW) -> Acquired:
    """Simulate the tasks that acquire: target tracking on the backlog that the window lets be.

    Each brand has ``urls``. The first task is started by the alarm that wakes, the others come by
    the scaling target; hosts that are fetched from are never the limit.

    Raises:
        RuntimeError: it does not end within `SIMULATED_MAX_S`.
    """
    (size,) = (each for each in SIZES if each.phase == "acquire")
    most = PROFILE.tasks["acquire"][1]
    left = float(urls * brands)
    starting = [METRIC_S + START_S]
    now, scaled_at, over_since, peak, all_at = 0.0, 0.0, None, 0, None
    while left > 0:
        now += STEP_S
        if now > SIMULATED_MAX_S:
            raise RuntimeError(f"{urls} URLs are not acquired within {SIMULATED_MAX_S:g} s")
        running = sum(at <= now for at in starting)
        peak = max(peak, running)
        all_at = now if all_at is None and running == most else all_at
        left -= STEP_S * min(running * URLS_SECOND, DATABASE_URLS_S)
        backlog = min(brands * window.share(Fleet(running, brands)), left)
        if running == 0 or backlog <= size.backlog * running:
            over_since = None
            continue
        over_since = now if over_since is None else over_since
        if now - over_since >= METRIC_S + ALARM_S and now - scaled_at >= SCALE_OUT_S:
            # Target tracking computes from the tasks that run, and never takes a wanted one back.
            wanted = min(math.ceil(backlog / size.backlog), most)
            starting += [now + START_S] * (wanted - len(starting))
            scaled_at = now
    return Acquired(now, peak, all_at)


def commit_s(rows: int) -> float:
    """Return the seconds of a first commit: what the processor or what the disk needs."""
    return max(rows / COMMIT_ROWS_S, rows * ASSET_KB * LOGGED / (DISK_MIB_S * 1024))


def index_s(rows: int) -> float:
    """Return the seconds until so many new assets can be found across brands."""
    return rows / ASSETS_AT_ONCE * INDEX_S


def ai_s(rows: int) -> float:
    """Return the seconds of the AI steps that compare all pictures with all, or a sample."""
    share = min(rows, SNAPSHOT_MAX_ASSETS_IN_MEMORY) / 100_000
    return share**2 * DUPLICATES_S + share * CLUSTERS_S


def search_s(rows: int) -> float:
    """Return the seconds of an exact search in a brand."""
    return rows / EXACT_SEARCH_ASSETS * EXACT_SEARCH_S


def disk_gb(rows: int, snapshots: int) -> float:
    """Return what the database needs at the moment of a commit, with so many snapshots kept."""
    return rows * (STAGED_KB + ASSET_KB * snapshots + SEARCHABLE_KB) / 1e6


def collect_s(rows: int, snapshots: int) -> float:
    """Return the seconds in which the collector reads all assets once."""
    return rows * ASSET_KB * snapshots / (DISK_MIB_S * 1024)


def setting(name: str) -> float:
    """Return a setting's default."""
    return float(Settings.model_fields[name].default)


@dataclass(frozen=True)
class Part:
    """How long one part of the work takes, and how long it may."""

    name: str
    seconds: float
    limit_s: float | None = None

    @property
    def holds(self) -> bool:
        """Return whether it ends within its limit."""
        return self.limit_s is None or self.seconds <= self.limit_s


def one_brand(urls: int) -> list[Part]:
    """Return the parts of a first snapshot of one brand, alone on the `prod` profile."""
    acquired = acquire(urls)
    committed = commit_s(urls)
    kept = int(setting("keep_snapshots"))
    return [
        Part("all URLs acquired", acquired.seconds, setting("run_deadline_s")),
        Part("the commit", committed, commit_timeout_s(urls)),
        Part("AI steps: duplicates and clusters", ai_s(urls)),
        Part("its assets found across brands", index_s(urls)),
        Part("an exact search in it", search_s(urls), DEADLINE_S),
        Part(
            f"one pass of the collector, {kept} snapshots kept",
            collect_s(urls, kept),
            scan_timeout_s(urls * kept),
        ),
    ]


def by_functions(urls: int) -> list[Part]:
    """Return what differs where Lambda functions acquire and commit."""
    (shape,) = (each for each in SHAPES if each.phase == "acquire")
    urls_s = shape.concurrency * BATCH / LAMBDA_BATCH_S
    return [
        Part("all URLs acquired by functions", urls / urls_s, setting("run_deadline_s")),
        Part("the commit in a function", commit_s(urls), shape.timeout_s),
    ]


def first_to_saturate() -> list[tuple[str, float]]:
    """Return the URLs a second that each part takes of one large brand, the least first."""
    tasks = PROFILE.tasks["acquire"][1]
    (size,) = (each for each in SIZES if each.phase == "acquire")
    share = WINDOW.share(Fleet(tasks, 1))
    parts = [
        (f"{tasks} tasks that acquire, the most of the profile", tasks * URLS_SECOND),
        (
            f"as many tasks as a window of {share:,} asks for, {size.backlog} messages each",
            share / size.backlog * URLS_SECOND,
        ),
        ("Postgres, on two processors of the bench", DATABASE_URLS_S),
        ("the index across brands, while it is in memory", ASSETS_AT_ONCE / INDEX_S),
    ]
    return sorted(parts, key=lambda part: part[1])


def shown(seconds: float) -> str:
    """Return a duration as a person says it."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _cell(part: Part) -> str:
    if part.limit_s is None:
        return shown(part.seconds)
    if part.holds:
        return f"{shown(part.seconds)} of {shown(part.limit_s)}"
    return f"**{shown(part.seconds)}, but {shown(part.limit_s)} allowed**"


def brands_table() -> str:
    """Return what brands of each size take, as Markdown."""
    columns = [[*one_brand(urls), *by_functions(urls)] for urls in SIZES_SHOWN]
    tasks = [acquire(urls) for urls in SIZES_SHOWN]
    lines = [
        _row("one brand, alone, of", [f"{n // MILLION} million" for n in SIZES_SHOWN]),
        "|---|" + "---|" * len(SIZES_SHOWN),
        _row("tasks at most, and all of them after", map(_tasks, tasks)),
        *(_row(parts[0].name, map(_cell, parts)) for parts in zip(*columns, strict=True)),
    ]
    pictures = [min(n, SNAPSHOT_MAX_ASSETS_IN_MEMORY) for n in SIZES_SHOWN]
    lines.append(_row("pictures that AI steps look at", [f"{n:,}" for n in pictures]))
    for kept in (1, int(setting("keep_snapshots"))):
        name = "database with the first snapshot" if kept == 1 else f"database, {kept} snapshots"
        lines.append(_row(name, [_disk(n, kept) for n in SIZES_SHOWN]))
    return "\n".join(lines)


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _tasks(acquired: Acquired) -> str:
    after = "" if acquired.all_tasks_s is None else f", {shown(acquired.all_tasks_s)}"
    return f"{acquired.tasks}{after}"


def _disk(rows: int, snapshots: int) -> str:
    needed, there = disk_gb(rows, snapshots), disk_there_gb()
    if needed > there:
        return f"**{needed:,.0f} GB, but it grows to {there:,.0f}**"
    return f"{needed:,.0f} of {there:,.0f} GB"


def disk_there_gb() -> float:
    """Return up to what the database's disk grows by itself."""
    return PROFILE.database_gib_max * 1024**3 / 1e9


def saturation_table() -> str:
    """Return what saturates first, as Markdown."""
    lines = ["| one large brand: what each part takes | URLs a second |", "|---|---:|"]
    lines += [f"| {name} | {urls_s:,.0f} |" for name, urls_s in first_to_saturate()]
    return "\n".join(lines)


def many_table() -> str:
    """Return what many brands, and several large ones at once, take, as Markdown."""
    tasks = PROFILE.tasks
    urls = BRANDS_A_DAY * URLS_A_BRAND
    day = 86_400.0
    growth_gb = disk_gb(urls, 1) - urls * STAGED_KB / 1e6
    ai_day_s = BRANDS_A_DAY * ai_s(URLS_A_BRAND) / tasks["ai"][1]
    ten = acquire(MILLION, brands=10)
    in_memory = ASSETS_AT_ONCE / INDEX_S
    rows = {
        "tasks that acquire": f"{urls / day / URLS_SECOND:.1f} of {tasks['acquire'][1]}",
        "commits": f"{shown(BRANDS_A_DAY * commit_s(URLS_A_BRAND))} of a day",
        "index across brands": f"{urls / day:,.0f} of {in_memory:,.0f} assets a second while it "
        f"is in memory; **behind, with {INDEX_LARGE_ASSETS_S:.0f}**, once it is not",
        "AI steps: duplicates and clusters": f"{shown(ai_day_s)} of a day",
        "database": f"{growth_gb:,.0f} GB more each day: "
        f"**full after {disk_there_gb() / growth_gb:.0f} days** of new brands",
        "for comparison: ten brands of a million at once": f"{shown(ten.seconds)} for all",
    }
    head = f"| {BRANDS_A_DAY:,} new brands of {URLS_A_BRAND:,} URLs each day | |\n|---|---|"
    return "\n".join([head, *(_row(name, [text]) for name, text in rows.items())])


def live_tasks(clients: int) -> tuple[int, float]:
    """Simulate clients that all come at once; return the tasks, and seconds until all are served.

    Those that no task takes come again. Each alarm multiplies the tasks by how much fuller than
    the target they are, and none is fuller than its limit.
    """
    least, most = PROFILE.tasks["live"]
    each = int(setting("live_clients"))
    tasks, seconds, served_s = least, 0.0, 0.0
    while True:
        served = min(clients, tasks * each)
        wanted = min(math.ceil(served / CLIENTS_A_TASK), most)
        if served < clients and wanted > tasks:
            served_s = seconds + METRIC_S + ALARM_S + START_S
        if wanted <= tasks:
            return tasks, served_s
        tasks, seconds = wanted, seconds + METRIC_S + ALARM_S + START_S


def live_cores(clients: int) -> float:
    """Return the processors that send each client a state as often as one may be sent."""
    micros = measured(6, "5,000 clients")
    return clients / RUN_EVERY_S * micros / 1e6


def dashboards_table() -> str:
    """Return what many open dashboards take, as Markdown."""
    tasks, served_s = live_tasks(DASHBOARDS)
    key = int(setting("live_clients_each")) * tasks
    most = PROFILE.tasks["live"][1] * int(setting("live_clients"))
    rows = {
        "live tasks": f"{tasks} of {PROFILE.tasks['live'][1]}, which take {most:,} at most",
        "all of them served, if they come at once": f"after {shown(served_s)}",
        "processors, all watching a run that changes all the time": f"{live_cores(DASHBOARDS):.2g}",
        "of one key": f"**{key:,} and no more**: `TRIPTYCH_LIVE_CLIENTS_EACH`, or sign-in",
    }
    head = f"| {DASHBOARDS:,} dashboards | |\n|---|---|"
    return "\n".join([head, *(_row(name, [text]) for name, text in rows.items())])


def tables() -> str:
    """Return all tables of docs/scaling.md that are simulated."""
    return "\n\n".join([brands_table(), saturation_table(), many_table(), dashboards_table()])


if __name__ == "__main__":
    print(tables())  # noqa: T201
