"""Filters of assets as keyword arguments, with their types, and as the query of a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict
from uuid import UUID

import orjson

from triptych.errors import BadInput
from triptych.snapshots.asset_classes import ColourName, Shape, Size


class AssetFilters(TypedDict, total=False):
    """Which assets; those that fulfil all that is given. The API describes each."""

    media_type: str
    """`image/png`, or `image/*`."""
    text: str
    """Text in the URL or the metadata, ignoring case."""
    colour: str
    """A colour near one of its own: `rrggbb`."""
    within: float
    """Largest distance from ``colour``, 0 to 765."""
    colour_name: ColourName
    shape: Shape
    size: Size
    first_seen: str
    """A year, month or day in UTC: `2026-11`."""
    metadata: Mapping[str, Any]
    """By column: a value, a list of values, ``{"from": 10, "below": 20}`` or ``{"day": …}``."""
    tag: str
    cluster: str
    duplicates: str
    """A group of duplicates."""
    duplicated: bool
    """Whether it is in any group of duplicates."""
    look: str
    outlier: float
    """Smallest distance from the brand's usual look, 0 to 1."""


class ListingOptions(AssetFilters, total=False):
    """Filters of a listing of one brand, and where it is read."""

    snapshot: UUID
    """A kept snapshot; by default the current one."""
    fresh: bool
    """As Postgres has it, not as MongoDB may still show it."""


class SearchOptions(AssetFilters, total=False):
    """Filters of a search, and where and how much is searched."""

    brand: str
    limit: int
    """At most 500."""
    fold: bool
    """Whether copies of one picture are one hit."""


class LikenessOptions(AssetFilters, total=False):
    """Filters of the assets that look like another one of its brand."""

    limit: int
    """At most 500."""
    fold: bool
    run: UUID
    """The snapshot; by default the current one."""


def query_of(kind: type, given: Mapping[str, Any]) -> dict[str, str]:
    """Return filters as a query; what is None is left out.

    Args:
        kind: one of the dictionaries of this module, which says what may be given.
        given: filters by name.

    Raises:
        BadInput: one has no such name.
    """
    known = kind.__annotations__
    query = {}
    for name, value in given.items():
        if name not in known:
            raise BadInput(
                f"There is no filter {name!r}.",
                field=name,
                remedy=f"Name one of {', '.join(sorted(known))}.",
            )
        if value is not None:
            query[name] = _text(value)
    return query


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return orjson.dumps(dict(value)).decode()
    return str(value)
