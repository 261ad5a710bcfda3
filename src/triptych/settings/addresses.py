"""Addresses in settings: their schemes, and how they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DATABASE_SCHEMES = ("embedded:", "postgresql://", "postgres://", "postgresql+iam://")
QUEUE_SCHEMES = ("pgmq:", "sqs:")
STORE_SCHEMES = ("file:", "s3://", "gs://", "az://", "memory:")
MODEL_SCHEMES = ("https://", "http://", "s3://")
SOURCE_SCHEME = r"[a-z][a-z0-9+.-]{0,30}"
"""What stands before the colon of a source. Which schemes there are depends on what is installed:
`triptych.gather.source_registry` knows."""


LIST_SCHEMES = ("http://", "https://", "s3://", "gs://", "az://", "file://")
"""Of the URLs at which a list can be."""
LIST_SCHEME = "manifest"
SERVICE_SCHEME = "catalog"
_PATH = re.compile(r"[/\\*?{]|^[.~]|\.[A-Za-z0-9]{1,8}(#|$)")
"""What only a path has: a separator, a pattern, ``{brand}``, a dot or tilde in front, an ending."""


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source as somebody wrote it, read."""

    spec: str
    """``SCHEME:PLACE``."""
    assumed: str | None = None
    """What was assumed, as a sentence, if it was written without a scheme; else None."""


def read_source(value: str) -> SourceRead:
    """Read a source: ``SCHEME:PLACE`` as it stands; a bare path or URL is that of a list.

    A bare path that exists on this machine becomes absolute, so that it means the same to a server
    that runs in another folder. Of a bare URL nothing says whether a list or a catalogue service is
    there, so it is taken for the more common of the two, and ``assumed`` names the other.

    Raises:
        ValueError: it is none of these.
    """
    scheme, colon, place = value.partition(":")
    if value.lower().startswith(LIST_SCHEMES):
        spec = f"{LIST_SCHEME}:{scheme.lower()}:{place}"
        other = f" If a catalogue service is there, write {SERVICE_SCHEME}:{value}."
        service = other if scheme.lower() in {"http", "https"} else ""
        return SourceRead(spec, f"Taken for a list: {spec}.{service}")
    path, mark, options = value.partition("#")
    for written, rest in ((value, ""), (path, mark + options)):
        if written and _exists(found := Path(written).expanduser()):
            spec = f"{LIST_SCHEME}:{found.absolute()}{rest}"
            return SourceRead(spec, f"Taken for a list: {spec}.")
    if colon and re.fullmatch(SOURCE_SCHEME, scheme) is not None:
        if not place:
            raise ValueError("has nothing after the colon")
        return SourceRead(value)
    if _PATH.search(value):
        return SourceRead(f"{LIST_SCHEME}:{value}", f"Taken for a list: {LIST_SCHEME}:{value}.")
    raise ValueError("must be written SCHEME:PLACE, or be the path or URL of a list")


def _exists(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):
        return False  # No path can be so long, or have a NUL.


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
