"""The places of the sources ``folder`` and ``bucket``: the folder, or the bucket and its prefix.

``{brand}`` in one is replaced by the brand's name. Both sources and the guard of what is acquired
read a place here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from triptych.settings.source_text import FOLDER_SCHEME, Place, PlaceKind, parse_place

BUCKET_SCHEME = "bucket"
BRAND = "{brand}"


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A bucket, and the folder in it."""

    place: Place
    """As `SourceReach` decides about it: all of its key is folders."""

    @property
    def bucket(self) -> str:
        """The bucket as ``s3://BUCKET``."""
        return self.place.bucket

    @property
    def prefix(self) -> str:
        """The folder's key without slashes at its ends; empty for the whole bucket."""
        return "/".join(self.place.segments[:-1])

    def has(self, bucket: str, key: str) -> bool:
        """Return whether an object is in the folder."""
        return bucket == self.bucket and (not self.prefix or key.startswith(f"{self.prefix}/"))


def folder_path(place: str, brand: str) -> str:
    """Return the absolute path of a folder, written as a path or as a ``file://`` URL.

    Raises:
        ValueError: it is not one; a whole sentence.
    """
    found = parse_place(place)
    path = found.text.replace(BRAND, brand)
    if found.kind is not PlaceKind.FILE or not path.startswith("/"):
        raise ValueError("A folder is written as its whole path, /srv/pictures, or file:///PATH.")
    if ".." in PurePosixPath(path).parts:
        raise ValueError("The folder's path has .. in it: write where that leads to.")
    return path


def bucket_location(place: str) -> str:
    """Return the URL of a place with a slash at its end, so that all of it is read as folders."""
    return place if place.endswith("/") else f"{place}/"


def bucket_place(place: str, brand: str) -> BucketPlace:
    """Return the bucket and folder of ``s3://BUCKET/FOLDER``, percent-encoded.

    Raises:
        ValueError: it is none; a whole sentence.
    """
    found = parse_place(bucket_location(place.replace(BRAND, quote(brand, safe=""))))
    if found.kind is not PlaceKind.OBJECT:
        raise ValueError("A bucket is written s3://BUCKET/FOLDER, gs://… or az://….")
    folders = found.segments[:-1]
    if any(not part or any(ord(each) < 0x20 for each in part) for part in folders):
        raise ValueError("A folder in a bucket has a name: write no two slashes in a row.")
    return BucketPlace(found)


def bucket_of(spec: str | None, brand: str) -> BucketPlace | None:
    """Return where a source of the scheme ``bucket`` is; None for any other, or an invalid one."""
    place = _place(spec, BUCKET_SCHEME)
    try:
        return None if place is None else bucket_place(place, brand)
    except ValueError:
        return None  # Nothing is below a place that is none.


def folder_of(spec: str | None, brand: str) -> str | None:
    """Return the path of a source of the scheme ``folder``; None as for `bucket_of`."""
    place = _place(spec, FOLDER_SCHEME)
    try:
        return None if place is None else folder_path(place, brand)
    except ValueError:
        return None  # Nothing is below a place that is none.


def _place(spec: str | None, scheme: str) -> str | None:
    own, colon, place = (spec or "").partition(":")
    return place if colon and own == scheme else None
