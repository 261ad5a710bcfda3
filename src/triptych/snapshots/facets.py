"""Facets: how many assets have each value of a property, beside the filters that are set.

A facet is counted without its own filter, so that a choice can be changed: with ``tag=shoe`` the
facet ``tag`` still has the counts of the other tags. All other filters count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from msgspec import Meta

from triptych.snapshots.snapshot_store import AssetFilter
from triptych.wire import Wire

COLUMN_PREFIX = "metadata."
"""What the name of a metadata column's facet begins with."""
OWN_FILTER: Mapping[str, str] = MappingProxyType(
    {
        "media_type": "media_type",
        "tag": "tag",
        "cluster": "cluster",
        "look": "look",
        "colour": "colour_name",
        "size": "size",
        "shape": "shape",
        "duplicated": "duplicated",
        "first_seen": "first_seen",
    }
)
"""The facets that every brand has, and the filter of each."""

BUCKETS_MAX = 40
"""Buckets of a histogram."""
BUCKETS_AIM = 20
"""Buckets of a histogram of numbers, about: their width is 1, 2 or 5 times a power of ten."""
FEW_VALUES = 12
"""A column with at most this many values is counted by value, even if they are numbers or dates."""
LIKE_SHARE = 0.95
"""A column whose values are numbers, or dates, to at least this share has a histogram."""
COLUMNS_MAX = 50
"""Metadata columns that are named."""
COLUMNS_SAMPLE = 2_000
"""Assets whose metadata columns are looked at to name them."""

Kind = Literal["values", "numbers", "days"]


class FacetCount(Wire, frozen=True):
    """A value, or a bucket of a histogram, and how many assets have it."""

    value: Annotated[str, Meta(description="The value; of a bucket, what it begins with.")]
    count: int
    query: Annotated[
        dict[str, str], Meta(description="The query parameter that selects these assets.")
    ]
    below: Annotated[
        float | None, Meta(description="Of a bucket of numbers: where the next one begins.")
    ] = None


class FacetShown(Wire, frozen=True):
    """The counts of one property. An asset with several values counts once for each."""

    name: str
    kind: Annotated[
        Kind,
        Meta(description="`values`, most frequent first; or a histogram of `numbers` or `days`."),
    ]
    counts: list[FacetCount]
    more: Annotated[int, Meta(description="Values that are not listed here.")]
    without: Annotated[int, Meta(description="Assets without a countable value.")]
    unlike: Annotated[
        int, Meta(description="Values of a histogram's column that are no number, or no date.")
    ]
    next: Annotated[
        str | None,
        Meta(description="The `cursor` for further values, where one facet was asked for."),
    ]


class ColumnShown(Wire, frozen=True):
    """A metadata column, and how many of a sample of the assets have it."""

    name: str
    count: int


class FacetsShown(Wire, frozen=True):
    """Counts of the assets that match the filters."""

    run: Annotated[UUID | None, Meta(description="The run of the snapshot; null for all brands.")]
    assets: Annotated[int, Meta(description="Assets that match all filters, of those looked at.")]
    looked_at: int
    of: Annotated[int, Meta(description="Assets that there are.")]
    exact: Annotated[
        bool,
        Meta(
            description="False if not all were looked at: of each snapshot an equal number at "
            "most was, an even sample of it by ids. Of all brands, large ones then count for less."
        ),
    ]
    facets: list[FacetShown]
    columns: list[ColumnShown]


@dataclass(frozen=True, slots=True)
class Position:
    """The last value of a page of a facet's values."""

    count: int
    value: str


@dataclass(frozen=True, slots=True)
class FacetsWanted:
    """The facets that are counted, and of which assets."""

    names: Sequence[str]
    matching: AssetFilter
    limit: int
    """Values of a facet, at most."""
    deadline_s: float
    after: Position | None = None
    """Where the values of the only facet continue."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a store counted of one facet, before it is known how it is shown."""

    without: int
    """Assets without a value."""
    distinct: int
    """Different values."""
    total: int
    """Values of all assets."""
    numbers: int
    """Values that are numbers."""
    days: int
    """Values that are dates."""
    low: float | None
    """The least number."""
    high: float | None
    """The greatest number."""
    months: int
    """Different months of the dates."""
    different_days: int


def without_own(matching: AssetFilter, name: str) -> AssetFilter:
    """Return a filter without the condition on the facet's own property."""
    if name.startswith(COLUMN_PREFIX):
        column = name.removeprefix(COLUMN_PREFIX)
        others = tuple(each for each in matching.columns if each.column != column)
        return replace(matching, columns=others)
    if name == "duplicated":
        return replace(matching, duplicated=None, duplicates=None)
    if name == "colour":
        return replace(matching, colour_name=None, colour=None)
    none: dict[str, Any] = {OWN_FILTER[name]: None}
    return replace(matching, **none)


def kind_of(name: str, tally: Tally) -> Kind:
    """Return how a facet is shown: by its values, or as a histogram."""
    if name == "first_seen":
        return "days"
    if not name.startswith(COLUMN_PREFIX) or tally.distinct <= FEW_VALUES:
        return "values"
    if tally.numbers >= LIKE_SHARE * tally.total:
        return "numbers"
    if tally.days >= LIKE_SHARE * tally.total:
        return "days"
    return "values"


def bucket_width(low: float, high: float) -> float:
    """Return the width of the buckets from ``low`` to ``high``: 1, 2 or 5 times a power of ten."""
    least = (high - low) / BUCKETS_AIM
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least * (1 - 1e-9))


def day_digits(tally: Tally) -> int:
    """Return how many characters of a date a bucket has: those of its day, month or year."""
    if tally.different_days <= BUCKETS_MAX:
        return len("YYYY-MM-DD")
    return len("YYYY-MM") if tally.months <= BUCKETS_MAX else len("YYYY")


def value_count(name: str, value: str, count: int) -> FacetCount:
    """Return the count of a value, and the query that selects it."""
    if name.startswith(COLUMN_PREFIX):
        return FacetCount(value, count, _column_query(name, value))
    return FacetCount(value, count, {OWN_FILTER[name]: value})


def shown_values(
    name: str, tally: Tally, values: Sequence[tuple[str, int]], *, left: int
) -> FacetShown:
    """Return a facet by its values; ``left`` is how many there are from the first of these on."""
    counts = [value_count(name, value, count) for value, count in values]
    return FacetShown(name, "values", counts, left - len(counts), tally.without, 0, None)


def shown_histogram(
    name: str, kind: Kind, tally: Tally, counts: list[FacetCount], *, more: int
) -> FacetShown:
    """Return a facet as a histogram of numbers or days; ``more`` buckets are not among these."""
    like = tally.numbers if kind == "numbers" else tally.days
    return FacetShown(name, kind, counts, more, tally.without, tally.total - like, None)


def number_count(name: str, bucket: int, width: float, count: int) -> FacetCount:
    """Return the count of a bucket of numbers."""
    low, below = _tidy(bucket * width), _tidy((bucket + 1) * width)
    query = _column_query(name, {"from": low, "below": below})
    return FacetCount(f"{low:g}", count, query, below=below)


def day_count(name: str, value: str, count: int) -> FacetCount:
    """Return the count of a day, month or year."""
    if name.startswith(COLUMN_PREFIX):
        return FacetCount(value, count, _column_query(name, {"day": value}))
    return FacetCount(value, count, {OWN_FILTER[name]: value})


def _column_query(name: str, wanted: object) -> dict[str, str]:
    column = name.removeprefix(COLUMN_PREFIX)
    return {"metadata": orjson.dumps({column: wanted}).decode()}


def _tidy(number: float) -> float:
    """Return a product of a power of ten without the error of its last digits."""
    return float(f"{number:.12g}")
