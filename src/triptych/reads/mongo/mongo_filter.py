"""An `AssetFilter` as stages of a pipeline.

Each stage is one that Amazon DocumentDB has, too: what is computed is a field that is then matched,
since ``$expr`` is missing there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from triptych.reads.mongo.documents import Document
from triptych.reads.projection import Lowers
from triptych.snapshots.snapshot_store import AssetFilter, ColumnFilter, NearColour, family_of

Stage = dict[str, Any]

_AFTER_SLASH = chr(ord("/") + 1)
_AFTER_DIGITS = chr(ord("9") + 1)
"""Greater than whatever a day may go on with."""
_EQUAL = ("shape", "size", "tag", "cluster", "duplicates", "duplicated", "look", "colour_name")
_FIELDS = {"tag": "tags", "colour_name": "colour_names"}


def lowered(text: str, lowers: Lowers) -> str:
    """Return a text in lower case as the catalogue's database writes it: letter by letter."""
    if lowers == "ascii":
        return "".join(each.lower() if each.isascii() else each for each in text)
    return "".join(low if len(low := each.lower()) == 1 else each for each in text)


def filter_stages(matching: AssetFilter, lowers: Lowers) -> list[Stage]:
    """Return the stages that pass the assets that match.

    Args:
        matching: the filter.
        lowers: what the texts of the documents were written in lower case by.
    """
    conditions = list(_conditions(matching))
    stages: list[Stage] = [{"$match": {"$and": conditions}}] if conditions else []
    if matching.colour is not None:
        stages += computed("near", near_colour(matching.colour))
    if matching.text is not None:
        found = {
            "$anyElementTrue": [
                {
                    "$map": {
                        "input": "$searched",
                        "as": "each",
                        "in": contains("$$each", lowered(matching.text, lowers)),
                    }
                }
            ]
        }
        stages += computed("found", found)
    return stages


def computed(name: str, expression: Stage) -> list[Stage]:
    """Return stages that pass the documents for which an expression is true."""
    return [{"$addFields": {name: expression}}, {"$match": {name: True}}]


def contains(expression: str, text: str) -> Stage:
    """Return the expression that another one's value contains a text."""
    return {"$gte": [{"$indexOfBytes": [expression, {"$literal": text}]}, 0]}


def _conditions(matching: AssetFilter) -> Iterator[Document]:
    if matching.media_type is not None:
        family = family_of(matching.media_type)
        if family is None:
            yield {"media_type": matching.media_type}
        else:
            yield {"media_type": {"$gte": family, "$lt": f"{family[:-1]}{_AFTER_SLASH}"}}
    if matching.first_seen is not None:
        yield {"first_seen": _on_day(matching.first_seen)}
    for name in _EQUAL:
        if (value := getattr(matching, name)) is not None:
            yield {_FIELDS.get(name, name): value}
    if matching.outlier is not None:
        # Marks are single-precision numbers, and are compared with one.
        yield {"outlier": {"$gte": float(np.float32(matching.outlier))}}
    for column in matching.columns:
        yield {"columns": {"$elemMatch": {"c": column.column, **_column(column)}}}


def _column(wanted: ColumnFilter) -> Document:
    if wanted.numbers is not None:
        low, high = wanted.numbers
        return {"values": {"$elemMatch": {"n": {"$gte": low, "$lt": high}}}}
    if wanted.day is not None:
        return {"values": {"$elemMatch": {"d": _on_day(wanted.day)}}}
    return {"values.v": {"$in": list(wanted.values)}}


def _on_day(beginning: str) -> Document:
    return {"$gte": beginning, "$lt": f"{beginning}{_AFTER_DIGITS}"}


def near_colour(wanted: NearColour) -> Stage:
    """Return the expression that a colour of an asset is near one.

    The distance is ``sqrt((2 + r / 256) dr² + 4 dg² + (2 + (255 - r) / 256) db²)``, where ``r`` is
    the mean of both reds. 512 times what is under the root is a whole number, so that every
    database says the same.
    """
    red, green, blue = wanted.rgb.to_bytes(3, "big")
    distance = {
        "$add": [
            {"$multiply": [{"$add": ["$$each.r", 1024 + red]}, _squared("r", red)]},
            {"$multiply": [2048, _squared("g", green)]},
            {"$multiply": [{"$subtract": [1534 - red, "$$each.r"]}, _squared("b", blue)]},
        ]
    }
    return {
        "$anyElementTrue": [
            {
                "$map": {
                    "input": "$colours",
                    "as": "each",
                    "in": {"$lte": [distance, most_512ths(wanted.within)]},
                }
            }
        ]
    }


def _squared(part: str, of: int) -> Stage:
    by = {"$subtract": [f"$$each.{part}", of]}
    return {"$multiply": [by, by]}


FARTHEST_512THS = 512 * 4 * 3 * 255**2
"""More than 512 times the square of any distance."""


def most_512ths(within: float) -> int:
    """Return the greatest ``n`` with ``sqrt(n / 512) <= within`` as computers calculate it.

    -1 if there is none; at most `FARTHEST_512THS`.
    """
    if not within >= 0:
        return -1
    low, high = 0, FARTHEST_512THS
    while low < high:
        middle = (low + high + 1) // 2
        if math.sqrt(middle / 512) <= within:
            low = middle
        else:
            high = middle - 1
    return low
