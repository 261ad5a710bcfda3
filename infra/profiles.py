"""What differs between a place to try things and one to rely on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.sign_in import KEYS as SIGN_IN
from infra.sign_in import SECRET, Fetch, SignIn, fetched

GROWTH = 10
"""Times its first storage, up to which the database grows by itself."""
PREFIX_MAX_CHARS = 40
"""SQS takes names of 80, and ours have up to 25."""
PREFIX = re.compile(rf"[A-Za-z0-9_-]{{0,{PREFIX_MAX_CHARS}}}")
WORKERS = ("ecs", "lambda")
RESOURCE = re.compile(r"(db-[A-Z0-9]{1,60})?")
"""What RDS calls an instance in policies. One that was restored has another than the first."""
REPAIR_DAYS = 1
"""Days that restoring the database, and then the objects, may take."""
NAT, PUBLIC, IPV6 = EGRESS = ("nat", "public", "ipv6")
"""How workers reach the servers that they fetch from: `infra.network`."""
POSTGRES, DOCUMENTDB, EXTERNAL = READS = ("", "documentdb", "external")
"""What immediate reads are answered from: `infra.reads`."""
KEYS = (
    *("profile", "workers", "certificate", "domain", "email", "region", "idle"),
    *("source", "source_token", "source_token_for", "source_buckets", "prefix", "egress"),
    *("traces", "database_resource", "reads", "reads_secret", "acquire_gpu"),
    *SIGN_IN,
)
"""All that a deployer can say. Anything else is a mistake: it would change nothing, unnoticed."""
BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^*?${}\\,]*[^*?${}\\,/]))?/?")
"""A bucket, and a prefix in it. What means more in a policy than in a key is refused."""

LISTED = re.compile(r"s3://([^/\s]+)(?:/(\S*))?")
"""Where a source says that its list is."""
DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]",
    re.IGNORECASE,
)
"""The Host that servers answer to. A URL in its place would make them refuse everybody."""


@dataclass(frozen=True)
class Profile:
    """Sizes of one deployment; what it promises follows from ``keep``."""

    name: str
    keep: bool
    """To rely on: data outlives its stack, and no zone is missed."""
    zones: int
    database_class: str
    database_gib: int
    """At first; it grows by itself."""
    documentdb_class: str
    documentdb_instances: int
    """With ``reads=documentdb``. Beyond the first they are there to take its place."""
    tasks: Mapping[str, tuple[int, int]]
    """Of each service, the least and the most."""
    gpu_tasks: int
    """With ``acquire_gpu``, the most that acquire, in place of those of ``tasks``."""
    budget_usd: int
    documentdb_budget_usd: int
    """That is added to it with ``reads=documentdb``."""

    @property
    def database_gib_max(self) -> int:
        """Return up to what the database grows by itself."""
        return GROWTH * self.database_gib

    @property
    def nat_gateways(self) -> int:
        """Return how many: one a zone, where no zone may be missed."""
        return self.zones if self.keep else 1

    @property
    def backup_days(self) -> int:
        """Return for how long the database can be brought back."""
        return 14 if self.keep else 1

    @property
    def version_days(self) -> int:
        """Return for how long deleted objects can be brought back.

        As long as the rows that name them: what was deleted right after the oldest moment to which
        the database can be restored is there for `REPAIR_DAYS` more.
        """
        return self.backup_days + REPAIR_DAYS

    @property
    def log_days(self) -> int:
        """Return for how long logs are kept."""
        return 90 if self.keep else 14


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="dev",
            keep=False,
            zones=2,
            database_class="t4g.medium",
            database_gib=20,
            documentdb_class="t4g.medium",
            documentdb_instances=1,
            tasks={
                "api": (1, 2),
                "live": (1, 2),
                "gather": (0, 2),
                "acquire": (0, 4),
                "ai": (0, 1),
            },
            gpu_tasks=1,
            budget_usd=300,
            documentdb_budget_usd=100,
        ),
        Profile(
            name="prod",
            keep=True,
            zones=3,
            database_class="r8g.xlarge",
            database_gib=200,
            documentdb_class="r6g.large",
            documentdb_instances=2,
            tasks={
                "api": (2, 10),
                "live": (2, 10),
                "gather": (0, 6),
                "acquire": (0, 40),
                "ai": (0, 4),
            },
            gpu_tasks=4,
            budget_usd=3000,
            documentdb_budget_usd=800,
        ),
    )
}


@dataclass(frozen=True)
class Choices:
    """What the deployer says: ``cdk deploy -c profile=prod -c certificate=arn:… …``."""

    profile: Profile
    workers: str
    certificate: str
    domain: str
    email: str
    region: str
    idle: bool = False
    """No API and no live status yet: the first deployment, before there is a schema."""
    source_token: str | None = None
    """Name of a secret in Secrets Manager that holds the catalogue's bearer token."""
    source_token_for: str = ""
    """Origins to which that token may be sent, comma-separated."""
    source_buckets: tuple[tuple[str, str], ...] = ()
    """Buckets that lists may be in, each with the prefix below which they are, or an empty one."""
    source: str = ""
    """Where URLs come from if a brand has no source of its own: `TRIPTYCH_SOURCE`."""
    traces: bool = False
    """Whether a share of the runs is traced; the account has to have Transaction Search."""
    prefix: str = ""
    """What the names of queues begin with; empty: they are those of the contract as they are."""
    database_resource: str = ""
    """The resource id of a restored database; empty: of the one that the stack made."""
    sign_in: SignIn | None = None
    """The identity provider of the balancer's users; None: everybody brings an API key."""
    egress: str = NAT
    """One of `EGRESS`."""
    reads: str = POSTGRES
    """One of `READS`."""
    reads_secret: str = ""
    """With `EXTERNAL`, the ARN of the secret whose text is the address of that MongoDB."""
    acquire_gpu: bool = False
    """Whether acquire runs on hosts with a GPU, one for each task."""

    def tasks(self, phase: str) -> tuple[int, int]:
        """Return the least and the most tasks of a phase's workers."""
        least, most = self.profile.tasks[phase]
        return least, self.profile.gpu_tasks if phase == "acquire" and self.acquire_gpu else most

    @property
    def budget_usd(self) -> int:
        """Return the dollars a month of which a part, and the whole, are warned of."""
        profile = self.profile
        more = profile.documentdb_budget_usd if self.reads == DOCUMENTDB else 0
        return profile.budget_usd + more

    @property
    def listed_buckets(self) -> str:
        """Return the buckets as `TRIPTYCH_SOURCE_BUCKETS` names them."""
        return ",".join(
            f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
            for bucket, prefix in self.source_buckets
        )

    @classmethod
    def read(cls, context: Mapping[str, Any], fetch: Fetch = fetched) -> Choices:
        """Read the context. ``fetch`` returns what is at a URL of the identity provider.

        Raises:
            ValueError: naming what is missing, unknown or wrong, and the remedy.
        """
        if unknown := sorted(set(context) - set(KEYS)):
            raise ValueError(f"{unknown[0]}: is not known; known are {', '.join(KEYS)}")
        profile = str(context.get("profile") or "dev")
        workers = str(context.get("workers") or "ecs")
        if profile not in PROFILES:
            raise ValueError(f"profile: must be one of {', '.join(PROFILES)}, not {profile!r}")
        if workers not in WORKERS:
            raise ValueError(f"workers: must be one of {', '.join(WORKERS)}, not {workers!r}")
        for name, remedy in {
            "certificate": "the ARN of a certificate in ACM for the domain",
            "domain": "the name under which the stack is reached, as in the certificate",
            "email": "who is told of alarms and of the budget",
        }.items():
            if not context.get(name):
                raise ValueError(f"{name}: is missing; give {remedy}: -c {name}=…")
        _check_token(context, workers)
        domain = str(context["domain"])
        if not DOMAIN.fullmatch(domain):
            raise ValueError(f"domain: {domain!r} is not a host name, such as media.example.com")
        prefix = str(context.get("prefix") or "")
        if not PREFIX.fullmatch(prefix):
            raise ValueError(
                f"prefix: {prefix!r} is not up to {PREFIX_MAX_CHARS} letters, digits, - or _"
            )
        resource = str(context.get("database_resource") or "")
        if not RESOURCE.fullmatch(resource):
            raise ValueError(
                f"database_resource: {resource!r} is not a DbiResourceId such as db-ABC123, which "
                "`aws rds describe-db-instances` shows"
            )
        region = str(context.get("region") or "eu-central-1")
        buckets = _buckets(str(context.get("source_buckets") or ""))
        return cls(
            PROFILES[profile],
            workers,
            str(context["certificate"]),
            domain,
            str(context["email"]),
            region,
            _flag("idle", context),
            str(context["source_token"]) if context.get("source_token") else None,
            str(context.get("source_token_for") or ""),
            buckets,
            _source(str(context.get("source") or ""), buckets),
            _flag("traces", context),
            prefix,
            resource,
            sign_in=SignIn.read(context, region, fetch),
            egress=_egress(str(context.get("egress") or NAT), workers),
            reads=_reads(context, region),
            reads_secret=str(context.get("reads_secret") or ""),
            acquire_gpu=_acquire_gpu(context, workers),
        )


def _check_token(context: Mapping[str, Any], workers: str) -> None:
    token, origins = context.get("source_token"), context.get("source_token_for")
    if token and not origins:
        raise ValueError(
            "source_token_for: is missing; give the origins to which the token of source_token "
            "may be sent: -c source_token_for=https://catalogue.example.com"
        )
    if origins and not token:
        raise ValueError(
            "source_token: is missing; give the name of the secret with the token that "
            "source_token_for is about: -c source_token=…"
        )
    if token and workers == "lambda":
        raise ValueError(
            "source_token: functions are given no secret; use -c workers=ecs, or leave it out"
        )


def _flag(name: str, context: Mapping[str, Any]) -> bool:
    """Return a switch, which JSON may have as a boolean; anything but true and false is refused."""
    given = str(context.get(name) or "false").lower()
    if given not in {"true", "false"}:
        raise ValueError(f"{name}: must be true or false, not {given!r}")
    return given == "true"


def _acquire_gpu(context: Mapping[str, Any], workers: str) -> bool:
    wanted = _flag("acquire_gpu", context)
    if wanted and workers == "lambda":
        raise ValueError("acquire_gpu: functions have no GPU; use -c workers=ecs, or leave it out")
    return wanted


def _source(given: str, buckets: tuple[tuple[str, str], ...]) -> str:
    """Return the source; a list in a bucket has to be in one that gather may read."""
    found = LISTED.search(given)
    if found is None:
        return given
    bucket, key = found[1], found[2] or ""
    for name, prefix in buckets:
        if name == bucket and (not prefix or f"{key}/".startswith(f"{prefix}/")):
            return given
    raise ValueError(
        f"source: {found[0]} is in no bucket that gather may read; list it: "
        f"-c source_buckets=s3://{bucket}"
    )


def _egress(given: str, workers: str) -> str:
    if given not in EGRESS:
        raise ValueError(f"egress: must be one of {', '.join(EGRESS)}, not {given!r}")
    if given == PUBLIC and workers == "lambda":
        raise ValueError(
            "egress: functions can have no public address; use -c egress=ipv6, or -c workers=ecs"
        )
    return given


def _reads(context: Mapping[str, Any], region: str) -> str:
    """Return what immediate reads are answered from; a secret is there exactly if it is used."""
    reads, secret = (str(context.get(name) or "") for name in ("reads", "reads_secret"))
    if reads not in READS:
        raise ValueError(
            f"reads: must be {DOCUMENTDB} or {EXTERNAL}, or left out for Postgres, not {reads!r}"
        )
    if reads == EXTERNAL:
        if not secret:
            raise ValueError(
                "reads_secret: is missing; give the ARN of the secret whose text is the address of "
                "that MongoDB, mongodb://… or mongodb+srv://…: -c reads_secret=arn:…"
            )
        found = SECRET.fullmatch(secret)
        if found is None or found[1] != region:
            # The text itself may have been given, which is not to be repeated.
            raise ValueError(f"reads_secret: must be the ARN of a secret in {region}, not its text")
    elif secret:
        raise ValueError(
            f"reads_secret: is for reads={EXTERNAL} only; leave it out, or give -c reads={EXTERNAL}"
        )
    return reads


def _buckets(given: str) -> tuple[tuple[str, str], ...]:
    found = []
    for text in filter(None, map(str.strip, given.split(","))):
        match = BUCKET.fullmatch(text)
        if match is None or {".", ".."} & set((match[2] or "").split("/")):
            raise ValueError(
                f"source_buckets: {text!r} is neither s3://BUCKET nor s3://BUCKET/PREFIX"
            )
        found.append((match[1], match[2] or ""))
    return tuple(found)
