"""What differs between a place to try things and one to rely on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WORKERS = ("ecs", "lambda")


@dataclass(frozen=True)
class Profile:
    """Sizes and promises of one deployment."""

    name: str
    zones: int
    nat_gateways: int
    endpoints: bool
    """Interface endpoints for AWS' own services: dearer than NAT until much is sent."""
    multi_az: bool
    database_class: str
    database_gib: int
    database_max_gib: int
    backup_days: int
    keep: bool
    """Data outlives the stack."""
    api_tasks: tuple[int, int]
    live_tasks: tuple[int, int]
    gather_tasks: tuple[int, int]
    acquire_tasks: tuple[int, int]
    ai_tasks: tuple[int, int]
    log_days: int
    budget_usd: int


PROFILES = {
    "dev": Profile(
        name="dev",
        zones=2,
        nat_gateways=1,
        endpoints=False,
        multi_az=False,
        database_class="t4g.medium",
        database_gib=20,
        database_max_gib=100,
        backup_days=1,
        keep=False,
        api_tasks=(1, 2),
        live_tasks=(1, 2),
        gather_tasks=(0, 2),
        acquire_tasks=(0, 4),
        ai_tasks=(0, 1),
        log_days=14,
        budget_usd=200,
    ),
    "prod": Profile(
        name="prod",
        zones=3,
        nat_gateways=3,
        endpoints=True,
        multi_az=True,
        database_class="r8g.xlarge",
        database_gib=200,
        database_max_gib=2000,
        backup_days=14,
        keep=True,
        api_tasks=(2, 10),
        live_tasks=(2, 10),
        gather_tasks=(0, 6),
        acquire_tasks=(0, 40),
        ai_tasks=(0, 4),
        log_days=90,
        budget_usd=3000,
    ),
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

    @classmethod
    def read(cls, context: Mapping[str, Any]) -> Choices:
        """Read the context.

        Raises:
            ValueError: naming what is missing or wrong, and the remedy.
        """
        profile = str(context.get("profile") or "dev")
        workers = str(context.get("workers") or "ecs")
        if profile not in PROFILES:
            message = f"profile: must be one of {', '.join(PROFILES)}, not {profile!r}"
            raise ValueError(message)
        if workers not in WORKERS:
            message = f"workers: must be one of {', '.join(WORKERS)}, not {workers!r}"
            raise ValueError(message)
        for name, remedy in {
            "certificate": "the ARN of a certificate in ACM for the domain",
            "domain": "the name under which the stack is reached, as in the certificate",
            "email": "who is told of alarms and of the budget",
        }.items():
            if not context.get(name):
                message = f"{name}: is missing; give {remedy}: -c {name}=…"
                raise ValueError(message)
        return cls(
            PROFILES[profile],
            workers,
            str(context["certificate"]),
            str(context["domain"]),
            str(context["email"]),
            str(context.get("region") or "eu-central-1"),
            str(context.get("idle")) == "true",
            str(context["source_token"]) if context.get("source_token") else None,
        )
