"""What Triptych costs on AWS: ``.venv-infra/bin/python -m scripts.cost [REGION…]``.

It prints the tables of docs/scaling.md. Prices are in `scripts.prices`, bytes in
`scripts.row_bytes`; sizes and counts are those of the stack itself (`infra`), which is why it runs
in its environment. What is assumed beside them has a name here.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from infra.alarms import OWN_METRICS, READS_METRICS, Alarm, alarms_of
from infra.cluster import DISK_GIB, MEMORY_SHARE
from infra.edge import MANAGED
from infra.network import ENDPOINTS
from infra.profiles import DOCUMENTDB, POSTGRES, PROFILES
from infra.request_limits import LIMITS
from infra.sizes import BATCH, SHAPES, SIZES, SWEEP_MIB

from scripts.paces import LAMBDA_BATCH_S, URLS_SECOND
from scripts.prices import AS_OF, PRICES, REGIONS, Tariff
from scripts.row_bytes import DOCUMENT_B, SNAPSHOTS, kept_bytes

MILLION = 1_000_000
HOURS = 730.0
"""Of a month."""
DAYS = HOURS / 24
HOST_CPU, HOST_MIB, HOST_TASKS = 4096, 16 * 1024, 3
"""Of m8g.xlarge: CPU units, memory, and interfaces besides its own (Amazon EC2 docs)."""
SERVERS_A_HOST = 2
"""m8g.large has two interfaces besides its own: one API and one live task."""

IMAGE_KB = 150.0
NEW_SHARE = 1.0
"""URLs whose content is not stored yet. A re-run of an unchanged brand: near 0."""
BATCH_FILL = 0.8
"""Of the ten messages that a request can carry."""
EXTENDED_SHARE = 0.1
"""Messages whose visibility is extended once: those held longer than a third of 60 s."""
MESSAGE_KB = 1.0
"""A message with its attributes and its share of a request."""
RESULT_KB = 3.0
"""What a worker sends to the database for a picture: an embedding of 2,560 bytes, and its row. The
commit copies it there, and RDS does not charge for its second zone."""
AI_LOOKS = 0.1
"""Objects that AI steps read again."""
IPV6_SHARE = 0.5
"""Bytes that come from servers which have an IPv6 address: of the large stores and CDNs most, of a
shop's own servers few. Count yours."""
LOG_GB_MONTH = {"dev": 1.0, "prod": 4.0}
"""Requests that were refused, packets that were rejected, the database's own log."""
LOG_KB_FAILED, FAILED_SHARE = 0.5, 0.02
SWEEP_S = 2.0
CLUSTER_METRICS, SERVICE_METRICS = 8, 10
"""That Container Insights makes of a cluster and of each service (Amazon CloudWatch docs)."""
SERVICES = 5
WAKE_METRICS, BACKLOG_METRICS, CPU_METRICS = 2, 3, 1
"""That an alarm of each scaling policy looks at; a target tracking policy has two alarms."""
CONNECTION_METRICS = 3
"""Of the policies by connections: clients and tasks of live status, requests of the API."""
SECRETS = 3
"""The administrator's, the sealing key, the first API key."""
DOCUMENT_OVERHEAD_B = 500
"""What a document takes of DocumentDB's storage besides itself: its entries in two indexes, and
what is left free in pages."""
EDITIONS_A_RUN = 2
"""Each asset is copied after the commit, and again with what the AI phase has found."""
RUNS_A_MONTH = 4
DOCUMENT_IOS = 3
"""At most, of writing a document or of deleting one: of itself and of its entries in two indexes.
What is written at the same time shares an I/O of 4 KB."""
THUMBNAIL_KB = 12.0
LCU_GB = 1.0
"""That the balancer processes in an LCU-hour."""


@dataclass(frozen=True)
class Line:
    """One part of the bill."""

    what: str
    how: str
    usd: float


def tasks_a_host() -> int:
    """Return how many acquire tasks a host of the Spot group holds."""
    (acquire,) = [size for size in SIZES if size.phase == "acquire"]
    memory = int(HOST_MIB * MEMORY_SHARE) // acquire.memory_mib
    return min(HOST_CPU // acquire.cpu, memory, HOST_TASKS)


def sqs_requests(urls: float) -> float:
    """Return requests for so many URLs: sent, received, deleted in batches; some extended."""
    return urls / (10 * BATCH_FILL) * (3 + EXTENDED_SHARE)


def per_million(tariff: Tariff, egress: str = "nat") -> list[Line]:
    """Return what a million URLs cost in `prod`, where workers are ECS tasks on Spot."""
    requests = sqs_requests(MILLION)
    puts, gets = MILLION * NEW_SHARE, MILLION * AI_LOOKS
    hours = MILLION / URLS_SECOND / 3600 / tasks_a_host()
    host = tariff["spot_host_hour"] * tariff.spot_share + DISK_GIB / HOURS * tariff["disk_gb"]
    sent_gb = 2 * MILLION * MESSAGE_KB / 1e6
    written_gb = MILLION * RESULT_KB / 1e6
    logged_gb = MILLION * FAILED_SHARE * LOG_KB_FAILED / 1e6
    return [
        Line(
            "SQS", f"{requests / 1e6:.2f} million requests", requests * tariff["sqs_million"] / 1e6
        ),
        Line(
            "S3 requests",
            "a put for each new image",
            puts / 1000 * tariff["put_thousand"] + gets / 1000 * tariff["get_thousand"],
        ),
        _way_out(tariff, egress, hours),
        Line("workers on Spot", f"{hours:.1f} hours of a host with its disk", hours * host),
        Line("endpoint of SQS", f"{sent_gb:.0f} GB", sent_gb * tariff["endpoint_gb"]),
        Line(
            "to the database",
            f"{written_gb:.0f} GB, two thirds of it to another zone",
            written_gb * 2 / 3 * tariff["zone_gb"],
        ),
        Line("logs", f"{FAILED_SHARE:.0%} fail, a line each", logged_gb * tariff["log_gb"]),
    ]


def _way_out(tariff: Tariff, egress: str, hours: float) -> Line:
    gb = MILLION * IMAGE_KB / 1e6
    if egress == "public":
        return Line("public addresses", f"{hours:.1f} hours of one", hours * tariff["address_hour"])
    if egress == "ipv6":
        left = gb * (1 - IPV6_SHARE)
        return Line("NAT", f"{left:.0f} of {gb:.0f} GB fetched", left * tariff["nat_gb"])
    return Line("NAT", f"{gb:.0f} GB fetched", gb * tariff["nat_gb"])


def per_million_lambda(tariff: Tariff) -> list[Line]:
    """Return what takes the workers' place in the Lambda shape."""
    (acquire,) = [shape for shape in SHAPES if shape.phase == "acquire"]
    batches = MILLION / BATCH
    seconds = batches * LAMBDA_BATCH_S * acquire.memory_mib / 1024
    usd = seconds * tariff["function_gb_second"] + batches / 1e6 * tariff["function_million"]
    return [Line("workers as Lambda", f"{seconds / 1e6:.2f} million GB-seconds", usd)]


def kept_million(tariff: Tariff, snapshots: int) -> list[Line]:
    """Return what a million images cost in each month that they are kept, in so many snapshots."""
    gb, rows = MILLION * IMAGE_KB / 1e6, MILLION * kept_bytes(snapshots) / 1e9
    return [
        Line("S3", f"{gb:.0f} GB", gb * tariff["object_gb"]),
        Line("RDS storage", f"{rows:.1f} GB in two zones", rows * tariff["prod_database_gb"]),
    ]


def shown_million(tariff: Tariff) -> list[Line]:
    """Return what it costs to show a million thumbnails to people."""
    gb = MILLION * THUMBNAIL_KB / 1e6
    return [
        Line("to the internet", f"{gb:.0f} GB", gb * tariff["out_gb"]),
        Line("firewall", "a request each", tariff["firewall_million"]),
        Line("S3 requests", "a get each", MILLION / 1000 * tariff["get_thousand"]),
        Line("load balancer", f"{gb / LCU_GB:.0f} LCU-hours", gb / LCU_GB * tariff["lcu_hour"]),
    ]


def standing(tariff: Tariff, name: str) -> list[Line]:
    """Return what a profile costs in a month in which nothing is done."""
    profile = PROFILES[name]
    servers = sum(profile.tasks[service][0] for service in ("api", "live"))
    hosts = math.ceil(servers / SERVERS_A_HOST)
    addresses = profile.nat_gateways + profile.zones
    rules = len(MANAGED) + len(LIMITS)
    lines = [
        Line("RDS", profile.database_class, tariff[f"{name}_database_hour"] * HOURS),
        Line(
            "RDS storage",
            f"{profile.database_gib} GB",
            profile.database_gib * tariff[f"{name}_database_gb"],
        ),
        Line("hosts of api and live", f"{hosts}", hosts * tariff["steady_host_hour"] * HOURS),
        Line("their disks", f"{DISK_GIB} GB each", hosts * DISK_GIB * tariff["disk_gb"]),
        Line(
            "NAT gateways",
            f"{profile.nat_gateways}",
            profile.nat_gateways * tariff["nat_hour"] * HOURS,
        ),
        Line("public addresses", f"{addresses}", addresses * tariff["address_hour"] * HOURS),
        Line("load balancer", "without traffic", tariff["balancer_hour"] * HOURS),
        Line(
            "firewall",
            f"an ACL and {rules} rules",
            tariff["firewall_month"] + rules * tariff["firewall_rule_month"],
        ),
        *_watched(tariff, name),
        Line("secrets", f"{SECRETS}", SECRETS * tariff["secret_month"]),
    ]
    if profile.keep:
        count = len(ENDPOINTS) * profile.zones
        lines.append(Line("endpoints", f"{count}", count * tariff["endpoint_hour"] * HOURS))
    return lines


def _watched(tariff: Tariff, name: str) -> list[Line]:
    metrics = CLUSTER_METRICS + SERVICES * SERVICE_METRICS
    phases = len(SIZES)
    alarms = _looked_at(alarms_of(POSTGRES).values()) + phases * (
        WAKE_METRICS + 2 * BACKLOG_METRICS
    )
    alarms += 2 * ((SERVICES - phases) * CPU_METRICS + CONNECTION_METRICS)
    sweeps = HOURS * 60
    swept = sweeps * SWEEP_S * SWEEP_MIB / 1024 * tariff["function_gb_second"]
    swept += sweeps / 1e6 * tariff["function_million"]
    logs, own = LOG_GB_MONTH[name], OWN_METRICS - READS_METRICS
    return [
        Line("Container Insights", f"{metrics} metrics", metrics * tariff["metric_month"]),
        Line("own metrics", f"{own} metrics", own * tariff["metric_month"]),
        Line("alarms", f"{alarms} metrics looked at", alarms * tariff["alarm_month"]),
        Line("sweeper", "once a minute", swept),
        Line("logs", f"{logs:.0f} GB", logs * tariff["log_gb"]),
    ]


def _looked_at(alarms: Iterable[Alarm]) -> int:
    """Return how many metrics they look at."""
    return sum(each.metrics for each in alarms)


def reads_standing(tariff: Tariff, name: str) -> list[Line]:
    """Return what ``reads=documentdb`` adds to what a profile costs in a month."""
    profile = PROFILES[name]
    count = profile.documentdb_instances
    more = _looked_at(alarms_of(DOCUMENTDB).values()) - _looked_at(alarms_of(POSTGRES).values())
    return [
        Line(
            "DocumentDB",
            f"{count} of {profile.documentdb_class}",
            count * tariff[f"{name}_documentdb_hour"] * HOURS,
        ),
        Line("own metrics", f"{READS_METRICS} metrics", READS_METRICS * tariff["metric_month"]),
        Line("alarms", f"{more} metrics looked at", more * tariff["alarm_month"]),
        Line("secrets", "its password", tariff["secret_month"]),
    ]


def reads_million(tariff: Tariff) -> list[Line]:
    """Return what a million images cost in DocumentDB in a month with `RUNS_A_MONTH` runs.

    Reads are not in it: what is read often is in memory, and costs no I/O.
    """
    gb = MILLION * (DOCUMENT_B + DOCUMENT_OVERHEAD_B) / 1e9
    editions = RUNS_A_MONTH * EDITIONS_A_RUN
    ios = editions * MILLION * 2 * DOCUMENT_IOS
    # As much as the storage itself is free.
    kept = max(0.0, editions * PROFILES["prod"].backup_days / DAYS - 1) * gb
    return [
        Line("DocumentDB storage", f"{gb:.1f} GB", gb * tariff["documentdb_gb"]),
        Line(
            "DocumentDB I/O",
            f"{RUNS_A_MONTH} runs, {ios / 1e6:.0f} million at most",
            ios / 1e6 * tariff["documentdb_io_million"],
        ),
        Line("DocumentDB backups", f"{kept:.1f} GB", kept * tariff["documentdb_backup_gb"]),
    ]


def table(title: str, lines_in: Callable[[Tariff], Sequence[Line]], regions: Sequence[str]) -> str:
    """Return lines and their sum as Markdown, a column a region."""
    columns = [lines_in(Tariff(region)) for region in regions]
    rows = [
        f"| {same[0].what} | {same[0].how} | {' | '.join(f'{line.usd:,.2f}' for line in same)} |"
        for same in zip(*columns, strict=True)
    ]
    sums = " | ".join(f"**{sum(line.usd for line in column):,.2f}**" for column in columns)
    head = f"| {title}, $ | | {' | '.join(regions)} |"
    return "\n".join(
        [head, f"|---|---|{'---:|' * len(regions)}", *rows, f"| **together** | | {sums} |"]
    )


def prices(regions: Sequence[str]) -> str:
    """Return the prices and what they are taken from, as Markdown; ≈ marks those scaled."""
    rows = []
    for price in PRICES.values():
        shown = [
            ("≈ " if price.is_scaled(region) else "")
            + f"{price.usd_in(region):.10f}".rstrip("0").rstrip(".")
            for region in regions
        ]
        rows.append(f"| {price.what} | {' | '.join(shown)} | {price.evidence} |")
    head = f"| list prices, {AS_OF}, $ | {' | '.join(regions)} | taken from |"
    return "\n".join([head, f"|---|{'---:|' * len(regions)}---|", *rows])


def tables(regions: Sequence[str] = REGIONS) -> str:
    """Return all tables of docs/scaling.md.

    Raises:
        ValueError: a region's prices are not known.
    """
    found = [
        table("a million URLs, once", per_million, regions),
        *(
            table(
                f"the same with `egress={egress}`",
                lambda tariff, egress=egress: per_million(tariff, egress),  # type: ignore[misc]
                regions,
            )
            for egress in ("public", "ipv6")
        ),
        table("instead of the workers on Spot", per_million_lambda, regions),
        table("a million images, a month, first snapshot", lambda t: kept_million(t, 1), regions),
        table(
            f"the same with {SNAPSHOTS} snapshots",
            lambda tariff: kept_million(tariff, SNAPSHOTS),
            regions,
        ),
        table("a million thumbnails shown", shown_million, regions),
        table("`dev`, a month, idle", lambda tariff: standing(tariff, "dev"), regions),
        table("`prod`, a month, idle", lambda tariff: standing(tariff, "prod"), regions),
        *(
            table(
                f"`{name}` with `reads=documentdb`, more a month",
                lambda tariff, name=name: reads_standing(tariff, name),  # type: ignore[misc]
                regions,
            )
            for name in PROFILES
        ),
        table("a million images in DocumentDB, a month", reads_million, regions),
        prices(regions),
    ]
    return "\n\n".join(found)


if __name__ == "__main__":
    try:
        print(tables(sys.argv[1:] or REGIONS))  # noqa: T201
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error
