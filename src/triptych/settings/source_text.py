"""The text that names a source: the one parser of it, for settings, commands, API and workers.

``SCHEME:PLACE``. The scheme chooses an installed source; a place is a URL, a path, or what the
source says. Whoever decides who may name a place, and whoever opens it, read it here, so that they
cannot take it for different things.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import unquote

SOURCE_SCHEME = r"[a-z][a-z0-9+.-]{0,30}"
"""What stands before the colon of a source. Which schemes there are depends on what is installed:
`triptych.gather.source_registry` knows."""
LIST_SCHEME = "manifest"
SERVICE_SCHEME = "catalog"
FOLDER_SCHEME = "folder"
WEB_SCHEMES = ("http", "https")
OBJECT_SCHEMES = ("s3", "gs", "az")
FILE_SCHEME = "file"
LIST_SCHEMES = (*WEB_SCHEMES, *OBJECT_SCHEMES, FILE_SCHEME)
"""Of the URLs at which a list can be."""
SHOWN_CHARS = 100
"""The most characters of a text that an error quotes."""

_PATH = re.compile(r"[/\\*?{]|^[.~]|\.[A-Za-z0-9]{1,8}(#|$)")
"""What only a path has: a separator, a pattern, ``{brand}``, a dot or tilde in front, an ending."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
"""RFC 3986 §3.1: a scheme has any case."""
_NEARLY = re.compile(rf"(?i)({'|'.join(LIST_SCHEMES)}):")
"""What programs take for a URL or for a path, as each of them likes."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""Names of buckets of S3, of Google Cloud Storage and of containers of Azure, and nothing else."""
_ENCODED_SEPARATOR = re.compile(r"%(2f|5c|00)", re.IGNORECASE)


class PlaceKind(Enum):
    """What a place is, by its text alone."""

    WEB = "web"
    """An http or https URL."""
    OBJECT = "object"
    """The URL of an object: ``s3://``, ``gs://`` or ``az://``."""
    FILE = "file"
    """A path, or a ``file://`` URL."""
    OTHER = "other"
    """A URL of another scheme: only its source knows what it is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place, read."""

    kind: PlaceKind
    text: str
    """As it is opened: a URL with its scheme in lower case; for a ``file://`` URL, its path."""
    bucket: str = ""
    """Of an object: ``s3://bucket``."""
    segments: Sequence[str] = ()
    """Of an object: the parts of its key, the folders among them without percent-encoding."""


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source as somebody wrote it, read."""

    spec: str
    """``SCHEME:PLACE``."""
    assumed: str | None = None
    """What was assumed, as a sentence, if it was written without a scheme; else None."""


def split_source(spec: str) -> tuple[str, str]:
    """Return the scheme and the place of ``SCHEME:PLACE``, neither of them checked further.

    Raises:
        ValueError: it has a control character, or white space at an end; says which.
    """
    if control := _CONTROL.search(spec):
        raise ValueError(f"It has the control character {control[0]!r}.")
    if spec != spec.strip():
        raise ValueError("It begins or ends with white space.")
    scheme, colon, place = spec.partition(":")
    if colon and place != place.lstrip():
        raise ValueError("There is white space behind its first colon.")
    return scheme, place


def parse_place(text: str) -> Place:
    """Return what a place is. Reads no file and asks nobody.

    Raises:
        ValueError: programs would not agree on what it is, or its bucket or path is none; a whole
            sentence.
    """
    if _CONTROL.search(text) or text != text.strip():
        raise ValueError("It has control characters, or white space at an end.")
    found = _URL.fullmatch(text)
    if found is None:
        if nearly := _NEARLY.match(text):
            scheme = nearly[1].lower()
            raise ValueError(
                f"{text[:SHOWN_CHARS]!r} is neither a URL nor clearly a path: write {scheme}://… "
                "or, for a file of that name, ./ before it."
            )
        return Place(PlaceKind.FILE, text)
    scheme, rest = found[1].lower(), found[2]
    if scheme in WEB_SCHEMES:
        return Place(PlaceKind.WEB, f"{scheme}://{rest}")
    if scheme in OBJECT_SCHEMES:
        return _object(scheme, rest)
    if scheme == FILE_SCHEME:
        return Place(PlaceKind.FILE, _file_path(rest))
    return Place(PlaceKind.OTHER, text)


def _object(scheme: str, rest: str) -> Place:
    bucket, _, key = rest.partition("/")
    if _BUCKET.fullmatch(bucket) is None:
        raise ValueError(f"{bucket[:SHOWN_CHARS]!r} is not the name of a bucket.")
    *folders, name = key.split("/")
    for number, part in enumerate((*folders, name)):
        # The parser of URLs in the object store's client resolves dots, encoded ones too.
        if unquote(part) in {".", ".."} or _ENCODED_SEPARATOR.search(part) or "\\" in part:
            raise ValueError(
                f"{part[:SHOWN_CHARS]!r} cannot be a part of an object's key: it may lead "
                "elsewhere."
            )
        if number < len(folders) and ("?" in part or "#" in part):
            raise ValueError(f"{part[:SHOWN_CHARS]!r} cannot be a folder: write %3F or %23 in it.")
    # The client decodes the folders of a key and takes its last part as it stands.
    segments = (*map(unquote, folders), name)
    return Place(PlaceKind.OBJECT, f"{scheme}://{rest}", f"{scheme}://{bucket}", segments)


def _file_path(rest: str) -> str:
    """Return the path of a ``file://`` URL (RFC 8089)."""
    host, slash, path = rest.partition("/")
    if host.lower() not in {"", "localhost"} or not slash:
        raise ValueError("A file:// URL is written file:///PATH, without a host.")
    decoded = unquote(f"/{path}", errors="surrogateescape")
    if _CONTROL.search(decoded):
        raise ValueError("The path of the file:// URL has a control character.")
    return decoded


def read_source(value: str) -> SourceRead:
    """Read a source: ``SCHEME:PLACE`` as it stands; a bare path or URL is that of a list.

    A bare path that exists on this machine becomes absolute, and so does that of a folder of
    pictures, so that it means the same to a server that runs in another folder. Of a bare URL
    nothing says whether a list or a catalogue service is there, so it is taken for the more common
    of the two, and ``assumed`` names the other.

    Raises:
        ValueError: it is none of these.
    """
    if (url := _URL.match(value)) and url[1].lower() in LIST_SCHEMES:
        scheme = url[1].lower()
        spec = f"{LIST_SCHEME}:{scheme}://{url[2]}"
        other = f" If a catalogue service is there, write {SERVICE_SCHEME}:{value}."
        service = other if scheme in WEB_SCHEMES else ""
        return SourceRead(spec, f"Taken for a list: {spec}.{service}")
    path, mark, options = value.partition("#")
    for written, rest in ((value, ""), (path, mark + options)):
        if written and _exists(found := Path(written).expanduser()):
            spec = f"{LIST_SCHEME}:{found.absolute()}{rest}"
            return SourceRead(spec, f"Taken for a list: {spec}.")
    scheme, colon, place = value.partition(":")
    if colon and re.fullmatch(SOURCE_SCHEME, scheme) is not None:
        if not place:
            raise ValueError("has nothing after the colon")
        if scheme == FOLDER_SCHEME and _exists(found := Path(place).expanduser()):
            return SourceRead(f"{FOLDER_SCHEME}:{found.absolute()}")
        return SourceRead(value)
    if _PATH.search(value):
        return SourceRead(f"{LIST_SCHEME}:{value}", f"Taken for a list: {LIST_SCHEME}:{value}.")
    raise ValueError("must be written SCHEME:PLACE, or be the path or URL of a list")


def _exists(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):
        return False  # No path can be so long, or have a NUL.
