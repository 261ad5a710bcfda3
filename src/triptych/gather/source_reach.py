"""Which sources may be read for somebody who is not this machine's own user.

A worker may read what its operator may not: files, and buckets by the worker's own credentials. So
what is not on the web is read only if the deployer listed its place, or named that source himself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triptych.gather import source_folders
from triptych.gather.source_folders import SourceFolders
from triptych.settings.source_text import Place, PlaceKind, parse_place

BUCKETS_SETTING = "TRIPTYCH_SOURCE_BUCKETS"


class SourceBuckets:
    """Buckets, and prefixes in them, that sources may name; ``listed`` is None for every bucket."""

    def __init__(self, listed: Sequence[str] | None) -> None:
        """List ``s3://bucket`` or ``s3://bucket/prefix``; a prefix is whole folders.

        Raises:
            ValueError: one is not the URL of a bucket; a whole sentence.
        """
        self._listed = None if listed is None else [_bucket(each) for each in listed]

    def lists(self, place: Place) -> bool:
        """Return whether an object is in a listed bucket, below its prefix if it has one."""
        if self._listed is None:
            return True
        return any(
            place.bucket == bucket and tuple(place.segments[: len(prefix)]) == prefix
            for bucket, prefix in self._listed
        )


def _bucket(text: str) -> tuple[str, tuple[str, ...]]:
    place = parse_place(text)
    if place.kind is not PlaceKind.OBJECT:
        raise ValueError(f"{text!r} is not s3://BUCKET, gs://BUCKET or az://CONTAINER.")
    folders = tuple(place.segments)
    while folders and not folders[-1]:
        folders = folders[:-1]
    return place.bucket, folders


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a place may not be read, and the remedy."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SourceReach:
    """What may be read, and of what an error may quote columns and values."""

    folders: SourceFolders
    buckets: SourceBuckets
    own: str | None = field(default=None)
    """The source of the process's own settings: it may be read, wherever it is."""
    own_web: bool = False
    """Whether requests may reach what whoever names a URL could not: private networks, or sites
    that know the deployer's headers. Then no error quotes what a URL answered."""

    def refusal(self, place: Place, *, anybody: bool) -> Refusal | None:
        """Return why a place may not be read; None if it may.

        ``anybody``: its source says that everybody may name it (`SourceType.remote`).
        """
        if place.kind is PlaceKind.OBJECT:
            return None if self.buckets.lists(place) else not_listed(place)
        if anybody or (place.kind is PlaceKind.FILE and self.folders.lists(place.text)):
            return None
        return Refusal(
            "It names a file of the server that is in no listed folder.",
            f"Name a URL, or list the folder in {source_folders.SETTING}, of the server and of its "
            "workers.",
        )

    def quotes(self, place: Place, *, anybody: bool) -> bool:
        """Return whether errors may quote what is there to whoever named it."""
        if place.kind is PlaceKind.WEB and self.own_web:
            return False
        return self.refusal(place, anybody=anybody) is None


EVERYWHERE = SourceReach(SourceFolders(None), SourceBuckets(None))
"""For this machine's own user, who can read whatever the process can."""


def reach_of(
    folders: Sequence[Path], buckets: Sequence[str], *, own: str | None, own_web: bool
) -> SourceReach:
    """Return what may be read with these folders and buckets listed.

    Raises:
        ValueError: one is not the URL of a bucket.
    """
    return SourceReach(SourceFolders(folders), SourceBuckets(buckets), own, own_web)


def not_listed(place: Place) -> Refusal:
    """Return the refusal of an object whose bucket is not listed."""
    return Refusal(
        f"{place.bucket} is not a listed bucket, or its prefix is another.",
        f"List it in {BUCKETS_SETTING}, of the server and of its workers.",
    )
