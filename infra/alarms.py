"""What rings, in one table: CloudWatch's alarms and Prometheus' alert rules are both made of it.

It imports nothing of CDK, so that `scripts.monitoring` can write the rules without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OLDEST_S = {
    "brand-gather-queue": 900,
    "url-process-queue": 1800,
    "brand-ai-phase-queue": 3600,
}
"""Seconds after which a waiting message is too old: those put off wait 15 minutes at most."""
DATABASE_CPU_PERCENT = 85
FREE_STORAGE_BYTES = 5 * 1024**3
DOCUMENTDB_MEMORY_BYTES = 256 * 1024**2
"""DocumentDB leaves a third of an instance's memory to the system and to connections."""
DOCUMENTDB_LOCAL_BYTES = 1024**3
"""Of an instance's own disk, on which it sorts. The cluster's storage grows by itself."""
DOCUMENTDB_CONNECTIONS_PERCENT = 80
"""Of those that the instance's class takes."""
ERRORS_MAX = 10
"""Answers with 5xx within five minutes."""
FAILED_PERCENT = 50
"""Of the items that were settled within `SHARE_MIN` minutes. Every catalogue has pages that are
gone; half of them mean that a server refuses, or that something of Triptych's is broken."""
FAILED_ITEMS_MIN = 100
"""Fewer items settled than that say nothing."""
SHARE_MIN = 15
COMMIT_SLOW_S = 300
"""A bound of `triptych_commit_seconds`; a statement of a commit is given up after 900."""
INDEX_LAG_S = 3600
READS_LAG_S = 600
HELD_MIN = 60
"""Minutes for which a run may be held before somebody is asked; after a week it is discarded."""
OWN_METRICS = 14
"""Metrics that Triptych writes (`triptych.telemetry.cloudwatch_metrics`): each is paid for."""
READS_METRICS = 1
"""Of them, those that are written only where immediate reads are answered by more than Postgres."""
RING_SILENT_MIN = 10
"""Minutes after which missing values of the sweeper are an alarm themselves."""


@dataclass(frozen=True)
class Own:
    """Of metrics that Triptych writes, in CloudWatch: `triptych.telemetry.cloudwatch_metrics`."""

    metrics: Mapping[str, tuple[str, str]]
    """By the name in ``expression``, each metric and its statistic."""
    expression: str = ""
    """Metric math; empty for the one metric as it is."""
    period_min: int = 5


@dataclass(frozen=True)
class Alarm:
    """One condition that somebody should look at, and where it is explained what to do."""

    name: str
    runbook: str
    """The section of docs/runbooks.md."""
    summary: str
    threshold: float
    unit: str
    for_min: int
    """Minutes that it has to last; at least one period of CloudWatch's."""
    promql: str | None
    """What has to be above the threshold; None for what only CloudWatch knows."""
    own: Own | None = None
    """How CloudWatch computes it, if of metrics of ours; `infra.watch` knows the others."""
    silence_rings: bool = False
    """Whether missing values are an alarm, too."""
    below: bool = False
    """It rings below the threshold instead of above it."""
    looks_at: int = 1
    """Metrics of AWS' own that it is computed of, if `own` is None."""
    reads: frozenset[str] = frozenset()
    """The values of `infra.profiles.Choices.reads` that CloudWatch has it for; empty: for all."""

    @property
    def metrics(self) -> int:
        """Return how many metrics CloudWatch's looks at: each is paid for."""
        return len(self.own.metrics) if self.own else self.looks_at

    @property
    def title(self) -> str:
        """Return its name as an alert of Prometheus."""
        words = self.name.replace("5xx", "server-errors").split("-")
        return "Triptych" + "".join(word.capitalize() for word in words)


def _queues() -> tuple[Alarm, ...]:
    oldest = (
        Alarm(
            f"{queue}-oldest",
            "oldest-message",
            f"A message of {queue} has waited for longer than {seconds} s.",
            seconds,
            "seconds",
            10,
            f'max(triptych_queue_oldest_seconds{{queue="{queue}"}})',
        )
        for queue, seconds in OLDEST_S.items()
    )
    dead = (
        Alarm(
            f"{queue}-dead",
            "dead-letters",
            # Workers take dead letters at once: what stays is not even recorded.
            f"Dead letters of {queue} stay where they are: no worker records them.",
            0,
            "messages",
            15,
            f'max(triptych_queue_waiting{{queue="{queue}-dlq"}})',
        )
        for queue in OLDEST_S
    )
    return (*oldest, *dead)


def _servers() -> tuple[Alarm, ...]:
    section = "errors-and-unhealthy-servers"
    unhealthy = (
        Alarm(
            f"{server}-unhealthy",
            section,
            f"A server of {server} does not answer.",
            0,
            "servers",
            5,
            f'count(up{{job="triptych-{server}"}} == 0)',
        )
        for server in ("api", "live")
    )
    return (
        Alarm(
            "5xx-balancer",
            section,
            f"The balancer has answered 5xx more than {ERRORS_MAX} times in five minutes.",
            ERRORS_MAX,
            "answers",
            5,
            None,
        ),
        Alarm(
            "5xx-services",
            section,
            f"The servers have answered 5xx more than {ERRORS_MAX} times in five minutes.",
            ERRORS_MAX,
            "answers",
            5,
            'sum(increase(triptych_http_request_seconds_count{status=~"5.."}[5m]))',
        ),
        *unhealthy,
    )


_SETTLED = f"sum(increase(triptych_items_total[{SHARE_MIN}m]))"
_FAILED = f'sum(increase(triptych_items_total{{outcome="failed"}}[{SHARE_MIN}m]))'

_WORK = (
    Alarm(
        "item-failures",
        "item-failures",
        f"More than {FAILED_PERCENT} % of the items of the last {SHARE_MIN} minutes have failed.",
        FAILED_PERCENT,
        "percent",
        5,
        f"100 * {_FAILED} / ({_SETTLED} >= {FAILED_ITEMS_MIN})",
        Own(
            {"done": ("ItemsDone", "Sum"), "failed": ("ItemsFailed", "Sum")},
            f"IF(done + failed >= {FAILED_ITEMS_MIN}, 100 * failed / (done + failed), 0)",
            period_min=SHARE_MIN,
        ),
    ),
    Alarm(
        "stalled-runs",
        "stalled-run",
        "An active run does not move, or no metric says whether one does.",
        0,
        "runs",
        RING_SILENT_MIN,
        "max(triptych_runs_stalled) or absent(triptych_runs_stalled)",
        Own({"stalled": ("RunsStalled", "Maximum")}),
        silence_rings=True,
    ),
    Alarm(
        "held-runs",
        "held-run",
        f"A run has been held for {HELD_MIN} minutes: somebody has to publish or discard it.",
        0,
        "runs",
        HELD_MIN,
        "max(triptych_runs_held)",
        Own({"held": ("RunsHeld", "Maximum")}),
    ),
    Alarm(
        "slow-commits",
        "slow-commit",
        f"A commit has taken longer than {COMMIT_SLOW_S} s.",
        0,
        "commits",
        0,
        "sum(increase(triptych_commit_seconds_count[15m]))"
        f' - sum(increase(triptych_commit_seconds_bucket{{le="{COMMIT_SLOW_S:.1f}"}}[15m]))',
        Own({"seconds": ("CommitSeconds", "Maximum")}, f"IF(seconds > {COMMIT_SLOW_S}, 1, 0)"),
    ),
    Alarm(
        "index-lag",
        "index-lag",
        f"The search index is more than {INDEX_LAG_S} s behind a brand's snapshot.",
        INDEX_LAG_S,
        "seconds",
        10,
        "max(triptych_index_lag_seconds)",
        Own({"lag": ("IndexLagSeconds", "Maximum")}),
    ),
    Alarm(
        "reads-lag",
        "immediate-reads-are-behind",
        f"MongoDB is more than {READS_LAG_S} s behind a brand's snapshot.",
        READS_LAG_S,
        "seconds",
        15,
        "max(triptych_reads_lag_seconds)",
        Own({"lag": ("ReadsLagSeconds", "Maximum")}),
        reads=frozenset({"documentdb", "external"}),
    ),
)

_AWS = (
    Alarm(
        "database-cpu",
        "database-load",
        f"The database uses more than {DATABASE_CPU_PERCENT} % of its CPU.",
        DATABASE_CPU_PERCENT,
        "percent",
        15,
        None,
    ),
    Alarm(
        "database-storage",
        "disk-full",
        "Less than 5 GiB of the database's storage are free.",
        FREE_STORAGE_BYTES,
        "bytes",
        5,
        None,
        below=True,
    ),
    Alarm("sweep-errors", "sweeper", "The function sweep fails.", 2, "errors", 10, None),
)


def _documentdb() -> tuple[Alarm, ...]:
    rings = (
        (
            "cpu",
            f"DocumentDB uses more than {DATABASE_CPU_PERCENT} % of its CPU.",
            DATABASE_CPU_PERCENT,
            "percent",
        ),
        (
            "memory",
            "Less than 256 MiB of an instance's memory are free.",
            DOCUMENTDB_MEMORY_BYTES,
            "bytes",
        ),
        (
            "storage",
            "Less than 1 GiB of an instance's own disk is free.",
            DOCUMENTDB_LOCAL_BYTES,
            "bytes",
        ),
        (
            "connections",
            f"More than {DOCUMENTDB_CONNECTIONS_PERCENT} % of DocumentDB's connections are used.",
            DOCUMENTDB_CONNECTIONS_PERCENT,
            "percent",
        ),
    )
    return tuple(
        Alarm(
            *(f"documentdb-{name}", "documentdb", summary, threshold, unit, 15, None),
            below=unit == "bytes",
            looks_at=2 if name == "connections" else 1,
            reads=frozenset({"documentdb"}),
        )
        for name, summary, threshold, unit in rings
    )


ALARMS = {each.name: each for each in (*_queues(), *_servers(), *_WORK, *_AWS, *_documentdb())}


def alarms_of(reads: str) -> dict[str, Alarm]:
    """Return by their names the alarms that CloudWatch has with a value of `Choices.reads`."""
    return {name: each for name, each in ALARMS.items() if not each.reads or reads in each.reads}
