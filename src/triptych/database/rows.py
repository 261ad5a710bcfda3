"""From database rows to nouns: a type is the only list of its fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, TypeVar, get_type_hints

import asyncpg
import numpy as np
import numpy.typing as npt
import orjson

from triptych.errors import BrandNotFound
from triptych.model import (
    MARKS,
    Asset,
    Brand,
    Colour,
    Insight,
    Item,
    ItemState,
    Metadata,
    Policy,
    Run,
    RunKind,
    Staged,
    TimelineEvent,
)

T = TypeVar("T")
Reader = Callable[[asyncpg.Record], T]

UNREADABLE = "unreadable_json"
"""The name under which the text of metadata that cannot be read is returned."""


def reader(kind: Callable[..., T], /, **own: Callable[[asyncpg.Record], Any]) -> Reader[T]:
    """Return what reads a row into a type: each field from the column of its name.

    ``own`` are fields that are read otherwise. A text becomes the enumeration that the field has.
    Columns that the type has no field for are passed over.
    """
    hints = get_type_hints(kind, localns={"np": np, "npt": npt})
    names = getattr(kind, "__struct_fields__", None) or kind.__dataclass_fields__  # type: ignore[attr-defined]
    columns = [(name, own.get(name) or _column(name, hints[name])) for name in names]

    def read(row: asyncpg.Record) -> T:
        return kind(**{name: column(row) for name, column in columns})

    return read


def _column(name: str, hint: Any) -> Callable[[asyncpg.Record], Any]:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return lambda row: hint(row[name])
    return itemgetter(name)


def _embedding(row: asyncpg.Record) -> Any:
    return row.get("embedding")  # Pages leave it where it is.


def _metadata(row: asyncpg.Record) -> Metadata:
    return to_metadata(row["metadata"])


def to_metadata(column: object) -> Metadata:
    """Read a column of JSON objects; one that cannot be read is its text under `UNREADABLE`."""
    return column if isinstance(column, dict) else {UNREADABLE: str(column)}


to_run: Reader[Run] = reader(Run, policy=reader(Policy))
to_event: Reader[TimelineEvent] = reader(TimelineEvent)
to_insight: Reader[Insight] = reader(Insight)
to_asset: Reader[Asset] = reader(
    Asset,
    colours=lambda row: to_colours(row["colours"]),
    embedding=_embedding,
    metadata=_metadata,
    also=lambda row: row.get("also") or (),
)
to_staged: Reader[Staged] = reader(
    Staged,
    colours=lambda row: to_colours(row["colours"]),
    embedding=_embedding,
    put_at=lambda _: None,
)
to_brand: Reader[Brand] = reader(
    Brand,
    name=itemgetter("brand_name"),
    source=itemgetter("brand_source"),
    version=itemgetter("brand_version"),
    latest=lambda row: to_run(row) if row["id"] is not None else None,
)
"""Reads a row of the statement ``brands``: a brand's columns, then its newest run's."""


def to_item(
    row: asyncpg.Record,
    brand: str,
    run_kind: RunKind = RunKind.FULL,
    traceparent: str | None = None,
    source: str | None = None,
    due_in_s: float = 0.0,
    waits_for: str | None = None,
) -> Item:
    """Read a row of ``items``, of a run of ``brand``."""
    return Item(
        run_id=row["run_id"],
        key=row["key"],
        brand=brand,
        url=row["url"],
        metadata=_metadata(row),
        state=ItemState(row["state"]),
        attempts=row["attempts"],
        run_kind=run_kind,
        traceparent=traceparent,
        source=source,
        due_in_s=due_in_s,
        waits_for=waits_for,
    )


def to_worked_on(row: asyncpg.Record, source: str | None) -> Item:
    """Read a row of the statement ``items_by_key``; ``source`` is the whole of its run's."""
    return to_item(
        row,
        row["brand"],
        RunKind(row["run_kind"]),
        source=source,
        due_in_s=row["due_in_s"],
        waits_for=row["waits_for"],
    )


def to_marks(row: asyncpg.Record) -> Metadata:
    """Read a row of ``marks``: an asset's marks, without empty ones."""
    known = {name: row[name] for name in MARKS if row[name] is not None}
    return {**(row["more"] or {}), **known}


def from_colours(colours: Sequence[Colour]) -> str:
    """Return colours as the column ``colours`` holds them: ``[["#rrggbb", share], …]``."""
    # As text: asyncpg would read a list in a list as a second dimension of the array.
    pairs = [(f"#{colour.rgb:06x}", colour.share) for colour in colours]
    return orjson.dumps(pairs).decode()


def to_colours(column: Sequence[tuple[str, float]]) -> tuple[Colour, ...]:
    """Read the column ``colours``."""
    return tuple(Colour(int(rgb[1:], 16), share) for rgb, share in column)


def brand_not_found(name: str) -> BrandNotFound:
    """Return the error for a brand that does not exist."""
    return BrandNotFound(
        f"There is no brand {name!r}.", remedy="`triptych status` lists the brands."
    )
