"""What a million URLs cost on AWS: ``python -m scripts.cost`` prints the tables of docs/scaling.md.

Every price and every assumption has a name here. Prices are list prices, on demand, of `REGION` in
US dollars, as of `AS_OF`, by the pages that `PRICES` names. They were written down without asking
those pages: look them up there before you rely on a figure, change them here, and print the tables
anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REGION = "us-east-1"
AS_OF = "November 2026"
MILLION = 1_000_000
HOURS = 730.0
"""Of a month."""

SQS_MILLION_REQUESTS = 0.40
S3_THOUSAND_PUTS = 0.005
S3_THOUSAND_GETS = 0.0004
S3_GB_MONTH = 0.023
NAT_GB = 0.045
NAT_HOUR = 0.045
ALB_HOUR = 0.0225
HOST_HOUR = 0.18
"""m8g.xlarge: four processors, 16 GiB."""
SPOT_SHARE = 0.4
"""Of the on-demand price; it moves."""
STEADY_HOST_HOUR = 0.09
"""m8g.large."""
DATABASE_HOUR = {"dev": 0.065, "prod": 1.00}
"""db.t4g.medium in one zone; db.r8g.xlarge in two."""
DATABASE_GB_MONTH = {"dev": 0.115, "prod": 0.23}
ENDPOINT_HOUR = 0.01
LAMBDA_GB_SECOND = 0.0000133334
LAMBDA_MILLION_REQUESTS = 0.20

PRICES = (
    ("a million requests", SQS_MILLION_REQUESTS, "Amazon SQS pricing, standard queues"),
    ("a thousand PUTs", S3_THOUSAND_PUTS, "Amazon S3 pricing, requests, S3 Standard"),
    ("a thousand GETs", S3_THOUSAND_GETS, "Amazon S3 pricing, requests, S3 Standard"),
    ("a GB of objects for a month", S3_GB_MONTH, "Amazon S3 pricing, storage, first 50 TB"),
    ("a GB through NAT", NAT_GB, "Amazon VPC pricing, NAT gateway"),
    ("an hour of a NAT gateway", NAT_HOUR, "Amazon VPC pricing, NAT gateway"),
    ("an hour of an endpoint in a zone", ENDPOINT_HOUR, "AWS PrivateLink pricing"),
    ("an hour of the load balancer", ALB_HOUR, "Elastic Load Balancing pricing"),
    ("an hour of m8g.xlarge", HOST_HOUR, "Amazon EC2 On-Demand pricing"),
    ("an hour of m8g.large", STEADY_HOST_HOUR, "Amazon EC2 On-Demand pricing"),
    ("an hour of `dev`'s database", DATABASE_HOUR["dev"], "Amazon RDS for PostgreSQL pricing"),
    ("an hour of `prod`'s database", DATABASE_HOUR["prod"], "Amazon RDS for PostgreSQL pricing"),
    ("a GB of `dev`'s for a month", DATABASE_GB_MONTH["dev"], "Amazon RDS for PostgreSQL pricing"),
    (
        "a GB of `prod`'s for a month",
        DATABASE_GB_MONTH["prod"],
        "Amazon RDS for PostgreSQL pricing",
    ),
    ("a GB-second of a function", LAMBDA_GB_SECOND, "AWS Lambda pricing, Arm"),
    ("a million invocations", LAMBDA_MILLION_REQUESTS, "AWS Lambda pricing, Arm"),
)
"""What is paid for, US dollars, and the page of AWS' that tells."""

IMAGE_KB = 150.0
NEW_SHARE = 1.0
"""URLs whose content is not stored yet. A re-run of an unchanged brand: near 0."""
BATCH_FILL = 0.8
"""Of the ten messages that a request can carry."""
EXTENDED_SHARE = 0.1
"""Messages whose visibility is extended once: those held longer than a third of 60 s."""
AI_LOOKS = 0.1
"""Objects that AI steps read again."""
URLS_SECOND = 50.0
"""One acquire task of two processors: decoding and the bundled model, neither waits for servers."""
TASKS_A_HOST = 2
LAMBDA_BATCH = 10
LAMBDA_BATCH_S = 2.5
"""Mostly waiting for servers, which a worker of 64 downloads at a time does not pay for."""
LAMBDA_GB = 3008 / 1024
ROW_KB = 4.5
"""An asset with its embedding, its item and its entries in indexes."""


@dataclass(frozen=True)
class Line:
    """One part of the bill."""

    what: str
    how: str
    usd: float


def sqs_requests(urls: float) -> float:
    """Return requests for so many URLs: sent, received, deleted in batches; some extended."""
    return urls / (10 * BATCH_FILL) * (3 + EXTENDED_SHARE)


def per_million() -> list[Line]:
    """Return what a million URLs cost where workers are ECS tasks on Spot."""
    requests = sqs_requests(MILLION)
    puts, gets = MILLION * NEW_SHARE, MILLION * AI_LOOKS
    gb = MILLION * IMAGE_KB / 1e6
    hours = MILLION / URLS_SECOND / 3600 / TASKS_A_HOST
    spot = HOST_HOUR * SPOT_SHARE
    return [
        Line(
            "SQS", f"{requests / 1e6:.2f} million requests", requests / 1e6 * SQS_MILLION_REQUESTS
        ),
        Line("S3 requests", "a put for each new image", _s3(puts, gets)),
        Line("NAT", f"{gb:.0f} GB fetched", gb * NAT_GB),
        Line("workers on Spot", f"{hours:.1f} hours of a host", hours * spot),
    ]


def per_million_lambda() -> Line:
    """Return what takes the workers' place in the Lambda shape."""
    batches = MILLION / LAMBDA_BATCH
    seconds = batches * LAMBDA_BATCH_S * LAMBDA_GB
    usd = seconds * LAMBDA_GB_SECOND + batches / 1e6 * LAMBDA_MILLION_REQUESTS
    return Line("workers as Lambda", f"{seconds / 1e6:.2f} million GB-seconds", usd)


def kept_million() -> list[Line]:
    """Return what a million images cost in each month that they are kept."""
    gb, rows = MILLION * IMAGE_KB / 1e6, MILLION * ROW_KB / 1e6
    return [
        Line("S3", f"{gb:.0f} GB", gb * S3_GB_MONTH),
        Line("RDS storage", f"{rows:.1f} GB in two zones", rows * DATABASE_GB_MONTH["prod"]),
    ]


def standing(profile: str) -> list[Line]:
    """Return what a profile costs in a month in which nothing is done."""
    zones, gateways, hosts = (3, 3, 2) if profile == "prod" else (2, 1, 1)
    gib = 200 if profile == "prod" else 20
    storage = gib * DATABASE_GB_MONTH[profile]
    lines = [
        Line("RDS", "with its storage", DATABASE_HOUR[profile] * HOURS + storage),
        Line("hosts of api and live", f"{hosts}", hosts * STEADY_HOST_HOUR * HOURS),
        Line("NAT gateways", f"{gateways}", gateways * NAT_HOUR * HOURS),
        Line("load balancer", "without traffic", ALB_HOUR * HOURS),
    ]
    if profile == "prod":
        endpoints = 5 * zones
        lines.append(Line("endpoints", f"{endpoints}", endpoints * ENDPOINT_HOUR * HOURS))
    return lines


def _s3(puts: float, gets: float) -> float:
    return puts / 1000 * S3_THOUSAND_PUTS + gets / 1000 * S3_THOUSAND_GETS


def table(title: str, lines: Sequence[Line]) -> str:
    """Return lines and their sum as Markdown."""
    rows = [f"| {line.what} | {line.how} | {line.usd:,.2f} |" for line in lines]
    total = sum(line.usd for line in lines)
    return "\n".join(
        [f"| {title} | | $ |", "|---|---|---:|", *rows, f"| **together** | | **{total:,.2f}** |"]
    )


def prices() -> str:
    """Return the prices and where they are to be checked, as Markdown."""
    rows = [
        f"| {what} | {usd:.10f}".rstrip("0").rstrip(".") + f" | {page} |"
        for what, usd, page in PRICES
    ]
    head = f"| list prices of {REGION}, {AS_OF} | $ | to be checked at |"
    return "\n".join([head, "|---|---:|---|", *rows])


def tables() -> str:
    """Return all tables of docs/scaling.md."""
    return "\n\n".join(
        [
            table("a million URLs, once", per_million()),
            table("instead of the workers on Spot", [per_million_lambda()]),
            table("a million images, each month", kept_million()),
            table("`dev`, each month, idle", standing("dev")),
            table("`prod`, each month, idle", standing("prod")),
            prices(),
        ]
    )


if __name__ == "__main__":
    print(tables())  # noqa: T201
