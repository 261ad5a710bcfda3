"""Pipelines that count the properties of assets: one pass for all facets that have one filter.

Each asset becomes an array of ``{f, v, n, d}``: the facet's number, a value, and of a value in
metadata the number and the day that it is. An asset without a value of a facet has one with a null
``v``, and every asset has one of `EVERY`, so that the same pass counts those as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from triptych.reads.mongo.documents import Document
from triptych.reads.mongo.mongo_filter import Stage
from triptych.snapshots.facets import COLUMN_PREFIX, Position

EVERY = -1
"""The number of the facet that every asset has once."""

_SINGLE: Mapping[str, str] = MappingProxyType(
    {
        "media_type": "media_type",
        "cluster": "cluster",
        "look": "look",
        "size": "size",
        "shape": "shape",
        "first_seen": "first_seen",
    }
)
_MANY: Mapping[str, str] = MappingProxyType({"tag": "tags", "colour": "colour_names"})
_VALUE = "$_id.v"
MONTH = len("YYYY-MM")


def values_of(names: Sequence[str]) -> list[Stage]:
    """Return stages from assets to their values: documents with the one field ``x``."""
    every = [{"f": {"$literal": EVERY}, "v": None}]
    own = [_or_none(number, _values(number, name)) for number, name in enumerate(names)]
    return [
        {"$project": {"_id": 0, "x": {"$concatArrays": [every, *own]}}},
        {"$unwind": "$x"},
    ]


def _values(number: int, name: str) -> Stage:
    if name.startswith(COLUMN_PREFIX):
        return _column(number, name.removeprefix(COLUMN_PREFIX))
    if name == "duplicated":
        return {"$cond": ["$duplicated", [_value(number, "true")], [_value(number, "false")]]}
    if name in _MANY:
        return {
            "$map": {
                "input": {"$ifNull": [f"${_MANY[name]}", []]},
                "as": "each",
                "in": _value(number, "$$each"),
            }
        }
    field = f"${_SINGLE[name]}"
    value = _value(number, field)
    if name == "first_seen":
        value["d"] = field
    return {"$cond": [_is_null(field), [], [value]]}


def _value(number: int, value: str) -> Document:
    return {"f": {"$literal": number}, "v": value}


def _column(number: int, column: str) -> Stage:
    own = {
        "$filter": {
            "input": "$columns",
            "as": "each",
            "cond": {"$eq": ["$$each.c", {"$literal": column}]},
        }
    }
    value = {"f": {"$literal": number}, "v": "$$each.v", "n": "$$each.n", "d": "$$each.d"}
    return {
        "$let": {
            "vars": {"own": {"$arrayElemAt": [own, 0]}},
            "in": {"$map": {"input": {"$ifNull": ["$$own.values", []]}, "as": "each", "in": value}},
        }
    }


def _or_none(number: int, values: Stage) -> Stage:
    none = [{"f": {"$literal": number}, "v": None}]
    return {
        "$let": {
            "vars": {"own": values},
            "in": {"$cond": [{"$eq": [{"$size": "$$own"}, 0]}, none, "$$own"]},
        }
    }


def by_value() -> list[Stage]:
    """Return stages after `values_of`: how many assets have each value, as ``{_id: {f, v}, c}``."""
    return [
        {
            "$group": {
                "_id": {"f": "$x.f", "v": "$x.v"},
                "c": {"$sum": 1},
                "n": {"$max": "$x.n"},
                "d": {"$max": "$x.d"},
            }
        }
    ]


def tallies() -> list[Stage]:
    """Return stages after `by_value`: one document a facet, with what a `Tally` has but months."""
    return [
        {
            "$group": {
                "_id": "$_id.f",
                "without": _sum_if(_is_null(_VALUE), "$c"),
                "distinct": _sum_unless(_is_null(_VALUE), 1),
                "total": _sum_unless(_is_null(_VALUE), "$c"),
                "numbers": _sum_unless(_is_null("$n"), "$c"),
                "days": _sum_unless(_is_null("$d"), "$c"),
                "low": {"$min": "$n"},
                "high": {"$max": "$n"},
            }
        }
    ]


def _is_null(expression: str) -> Stage:
    return {"$eq": [{"$ifNull": [expression, None]}, None]}


def _sum_if(condition: Stage, value: Any) -> Stage:
    return {"$sum": {"$cond": [condition, value, 0]}}


def _sum_unless(condition: Stage, value: Any) -> Stage:
    return {"$sum": {"$cond": [condition, 0, value]}}


def most_frequent(limit: int, after: Position | None) -> list[Stage]:
    """Return stages after `values_of` one facet: its values after a position, as ``{_id, c}``."""
    return [
        *_counted(after),
        {"$sort": {"c": -1, "_id": 1}},
        {"$limit": limit},
    ]


def how_many(after: Position | None) -> list[Stage]:
    """Return stages after `values_of` one facet: how many values follow a position, as ``{c}``."""
    return [*_counted(after), {"$group": {"_id": None, "c": {"$sum": 1}}}]


def _counted(after: Position | None) -> list[Stage]:
    counted: list[Stage] = [
        {"$match": {"x.f": 0, "x.v": {"$gte": ""}}},
        {"$group": {"_id": "$x.v", "c": {"$sum": 1}}},
    ]
    if after is not None:
        equal = {"c": after.count, "_id": {"$gt": after.value}}
        counted.append({"$match": {"$or": [{"c": {"$lt": after.count}}, equal]}})
    return counted


def by_number(width: float) -> list[Stage]:
    """Return stages after `values_of` one column: assets by buckets of numbers."""
    return [
        {"$match": {"x.f": 0, "x.n": {"$gte": -math.inf}}},
        {"$group": {"_id": {"$floor": {"$divide": ["$x.n", width]}}, "c": {"$sum": 1}}},
    ]


def by_day(digits: int, limit: int) -> list[Stage]:
    """Return stages after `values_of` one facet: assets by beginnings of days, the latest first."""
    return [
        {"$match": {"x.f": 0, "x.d": {"$gte": ""}}},
        {"$group": {"_id": {"$substrBytes": ["$x.d", 0, digits]}, "c": {"$sum": 1}}},
        {"$sort": {"_id": -1}},
        {"$limit": limit},
    ]


def days_and_months() -> list[Stage]:
    """Return stages after `values_of` one facet: how many ``days`` and ``months`` it has."""
    return [
        {"$match": {"x.f": 0, "x.d": {"$gte": ""}}},
        {"$group": {"_id": "$x.d"}},
        {"$group": {"_id": {"$substrBytes": ["$_id", 0, MONTH]}, "days": {"$sum": 1}}},
        {"$group": {"_id": None, "days": {"$sum": "$days"}, "months": {"$sum": 1}}},
    ]
