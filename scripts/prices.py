"""List prices of AWS by region, in US dollars, on demand, without discounts or free tiers.

Each has its evidence: AWS' own pages could not be asked where this was written, so it is what
others have published of AWS' Price List API, and bills. Where nothing was found for a region, the
price is that of us-east-1 times the region's ratio for m7g.large, and is marked. Look up what is
marked, or said to be not checked, before you rely on a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AS_OF = "November 2026"
REGIONS = ("us-east-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-northeast-1")
M7G_LARGE = dict(zip(REGIONS, (0.0816, 0.0816, 0.0978, 0.0910, 0.1054), strict=True))
"""An hour on demand: SkyPilot's catalogue v8 (aws/vms.csv, commit 00148f2a)."""
SPOT_SHARE = dict(zip(REGIONS, (0.45, 0.41, 0.50, 0.45, 0.54), strict=True))
"""Of it on Spot, the mean of the zones: the same catalogue. It moves."""
M8G_RATIO = 1.1
"""m8g to m7g of the same size: 0.0898 to 0.0816 in us-east-1."""

CATALOGUE = "SkyPilot's catalogue v8, commit 00148f2a, m7g times 1.1"
TOKYO = "ap-northeast-1: Price List API, 23 September 2026; us-east-1: pages of 2026"
DOCUMENTDB = "us-east-1: pages of 2026; eu-central-1 and ap-northeast-1: articles of 2023"
BILLS = "eu-central-1: a bill of 720 hours"
PAGE = "not checked"


@dataclass(frozen=True)
class Price:
    """The price of one thing in each region."""

    what: str
    usd: tuple[float | None, ...]
    """In the order of `REGIONS`; None: not found, see `usd_in`."""
    evidence: str

    def usd_in(self, region: str) -> float:
        """Return the price, scaled from us-east-1 where it was not found."""
        found = self.usd[REGIONS.index(region)]
        if found is not None:
            return found
        base = self.usd[0]
        assert base is not None
        return round(base * M7G_LARGE[region] / M7G_LARGE[REGIONS[0]], 3)

    def is_scaled(self, region: str) -> bool:
        """Return whether the price was not found for a region."""
        return self.usd[REGIONS.index(region)] is None


def _everywhere(what: str, usd: float, evidence: str) -> Price:
    return Price(what, (usd,) * len(REGIONS), evidence)


def _hosts(what: str, times: float) -> Price:
    usd = tuple(round(M7G_LARGE[region] * M8G_RATIO * times, 4) for region in REGIONS)
    return Price(what, usd, CATALOGUE)


PRICES: Mapping[str, Price] = {
    "sqs_million": _everywhere("a million requests to SQS", 0.40, TOKYO),
    "put_thousand": Price(
        "a thousand PUTs to S3", (0.005, 0.005, 0.0054, 0.005, 0.0047), f"{TOKYO}; others: {PAGE}"
    ),
    "get_thousand": Price(
        "a thousand GETs from S3",
        (0.0004, 0.0004, 0.00043, 0.0004, 0.00037),
        f"{TOKYO}; others: {PAGE}",
    ),
    "object_gb": Price(
        "a GB of objects for a month",
        (0.023, 0.023, 0.0245, 0.023, 0.025),
        f"{TOKYO}; others: {PAGE}",
    ),
    "nat_hour": Price(
        "an hour of a NAT gateway",
        (0.045, 0.045, 0.052, 0.048, 0.062),
        f"{TOKYO}; Europe: 0.048 to 0.052 by pages of 2026",
    ),
    "nat_gb": Price(
        "a GB through NAT",
        (0.045, 0.045, 0.052, 0.048, 0.062),
        f"{TOKYO}; Europe: 0.048 to 0.052 by pages of 2026",
    ),
    "address_hour": _everywhere("an hour of a public IPv4 address", 0.005, TOKYO),
    "endpoint_hour": Price(
        "an hour of an endpoint in a zone",
        (0.01, 0.01, 0.012, 0.011, 0.014),
        f"{TOKYO}; eu-central-1: Price List API, 22 September 2026",
    ),
    "endpoint_gb": _everywhere("a GB through an endpoint", 0.01, TOKYO),
    "balancer_hour": Price(
        "an hour of the load balancer",
        (0.0225, 0.0225, 0.027, 0.0252, 0.0243),
        f"{BILLS}; others: {PAGE}",
    ),
    "lcu_hour": _everywhere("an hour of an LCU", 0.008, PAGE),
    "out_gb": Price("a GB to the internet", (0.09, 0.09, 0.09, 0.09, 0.114), TOKYO),
    "zone_gb": _everywhere("a GB between zones, both ends", 0.02, "pages of 2026"),
    "spot_host_hour": _hosts("an hour of m8g.xlarge", 2),
    "steady_host_hour": _hosts("an hour of m8g.large", 1),
    "disk_gb": Price("a GB of a host's disk for a month", (0.08, 0.08, 0.0952, 0.088, 0.096), PAGE),
    "dev_database_hour": Price(
        "an hour of db.t4g.medium in one zone", (0.065, 0.065, None, None, None), "pages of 2026"
    ),
    "prod_database_hour": Price(
        "an hour of db.r8g.xlarge in two zones", (1.00, 1.00, None, None, None), PAGE
    ),
    "dev_database_gb": Price(
        "a GB of its storage for a month, one zone",
        (0.115, 0.115, 0.137, 0.127, 0.138),
        f"us-east-1: pages of 2026; {BILLS}; others: {PAGE}",
    ),
    "prod_database_gb": Price(
        "a GB of its storage for a month, two zones",
        (0.23, 0.23, 0.274, 0.254, 0.276),
        "twice one zone",
    ),
    "dev_documentdb_hour": Price(
        "an hour of db.t4g.medium of DocumentDB", (0.076, 0.076, None, None, None), PAGE
    ),
    "prod_documentdb_hour": Price(
        "an hour of db.r6g.large of DocumentDB",
        (0.263, 0.263, None, None, 0.317),
        f"ap-northeast-1: an article of 2023; us-east-1: {PAGE}",
    ),
    "documentdb_gb": Price(
        "a GB of DocumentDB's storage for a month",
        (0.10, 0.10, 0.119, 0.11, 0.12),
        f"{DOCUMENTDB}; eu-west-1: {PAGE}",
    ),
    "documentdb_io_million": Price(
        "a million I/Os of DocumentDB",
        (0.20, 0.20, 0.22, 0.22, 0.24),
        f"{DOCUMENTDB}; eu-west-1: {PAGE}",
    ),
    "documentdb_backup_gb": Price(
        "a GB of DocumentDB's backups for a month, beyond its storage",
        (0.02, 0.02, 0.023, 0.021, 0.023),
        f"us-east-1: pages of 2026; eu-central-1: an article of 2023; others: {PAGE}",
    ),
    "function_gb_second": _everywhere("a GB-second of a function (Arm)", 0.0000133334, PAGE),
    "function_million": _everywhere("a million invocations", 0.20, TOKYO),
    "log_gb": Price(
        "a GB of logs taken in", (0.50, 0.50, 0.63, 0.57, 0.76), f"{TOKYO}; others: {PAGE}"
    ),
    "metric_month": _everywhere("a metric for a month", 0.30, TOKYO),
    "alarm_month": _everywhere("a metric that an alarm looks at, for a month", 0.10, TOKYO),
    "firewall_month": _everywhere("a web ACL for a month", 5.00, TOKYO),
    "firewall_rule_month": _everywhere("a rule of it for a month", 1.00, TOKYO),
    "firewall_million": _everywhere("a million requests through it", 0.60, TOKYO),
    "secret_month": _everywhere("a secret for a month", 0.40, TOKYO),
}


class Tariff:
    """The prices of one region."""

    def __init__(self, region: str) -> None:
        """Choose a region.

        Raises:
            ValueError: its prices are not known; names those that are.
        """
        if region not in REGIONS:
            raise ValueError(f"{region}: its prices are not known; known are {', '.join(REGIONS)}")
        self.region = region
        self.spot_share = SPOT_SHARE[region]

    def __getitem__(self, name: str) -> float:
        """Return the price of a name of `PRICES`."""
        return PRICES[name].usd_in(self.region)
