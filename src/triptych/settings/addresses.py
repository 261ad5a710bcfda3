"""Addresses in settings: their schemes, and how they are read."""

from __future__ import annotations

import re

DATABASE_SCHEMES = ("embedded:", "postgresql://", "postgres://", "postgresql+iam://")
READS_SCHEMES = ("mongodb://", "mongodb+srv://")
QUEUE_SCHEMES = ("pgmq:", "sqs:")
STORE_SCHEMES = ("file:", "s3://", "gs://", "az://", "memory:")
MODEL_SCHEMES = ("https://", "http://", "s3://")


def check_queue(value: str) -> str:
    """Return ``value`` if it names queues.

    Raises:
        ValueError: it does not.
    """
    check_scheme(value, QUEUE_SCHEMES)
    if value.startswith("sqs:"):
        read_sqs(value)
    return value


def is_model_url(value: str) -> bool:
    """Return whether ``value`` names a model by URL, not by path."""
    return value.startswith(MODEL_SCHEMES)


def check_scheme(value: str, known: tuple[str, ...]) -> str:
    """Return ``value`` if it begins with one of the schemes.

    Raises:
        ValueError: it does not.
    """
    if not value.startswith(known):
        raise ValueError(f"must begin with one of {', '.join(known)}")
    return value


def read_sqs(value: str) -> tuple[str | None, str]:
    """Return the region, None for AWS_REGION, and the prefix of the queues' names.

    Reads ``sqs:`` and ``sqs://REGION/PREFIX``.

    Raises:
        ValueError: it is neither.
    """
    found = re.fullmatch(r"sqs:(?://([a-z0-9-]*)(?:/([A-Za-z0-9_-]{0,50}))?)?", value)
    if found is None:
        raise ValueError("must be sqs: or sqs://REGION/PREFIX, of letters, digits, - and _")
    return found[1] or None, found[2] or ""


def read_ports(value: str) -> range:
    """Read ``8080`` or ``9000-9010``.

    Raises:
        ValueError: it is neither, or not a TCP port.
    """
    first, dash, last = value.partition("-")
    try:
        ports = range(int(first), int(last if dash else first) + 1)
    except ValueError:
        ports = range(0)
    if not ports or ports[0] < 1 or ports[-1] > 65_535:
        raise ValueError(f"{value[:20]} is neither a port nor a range of ports")
    return ports
