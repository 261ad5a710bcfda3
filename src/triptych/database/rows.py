"""From database rows to the nouns of `triptych.model`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from triptych.errors import BrandNotFound
from triptych.model import (
    MARKS,
    AiState,
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
    RunState,
    Staged,
    TimelineEvent,
)


def to_run(row: asyncpg.Record) -> Run:
    """Read a row of ``runs``."""
    return Run(
        id=row["id"],
        brand=row["brand"],
        kind=RunKind(row["kind"]),
        state=RunState(row["state"]),
        source=row["source"],
        policy=Policy(row["tolerated_failures"], row["max_attempts"], row["deadline_s"]),
        sealed=row["sealed"],
        paused=row["paused"],
        expected=row["expected"],
        done=row["done"],
        failed=row["failed"],
        out=row["out"],
        version=row["version"],
        seq=row["seq"],
        created_at=row["created_at"],
        progressed_at=row["progressed_at"],
        deadline_at=row["deadline_at"],
        ended_at=row["ended_at"],
        reason=row["reason"],
        reasons=row["reasons"],
        added=row["added"],
        kept=row["kept"],
        changed=row["changed"],
        removed=row["removed"],
        ai_state=AiState(row["ai_state"]),
        ai_reason=row["ai_reason"],
        traceparent=row["traceparent"],
        ai_progress=row["ai_progress"],
    )


def to_brand(row: asyncpg.Record) -> Brand:
    """Read a row of the statement ``brands``: a brand's columns, then its newest run's."""
    return Brand(
        name=row["brand_name"],
        source=row["brand_source"],
        current_run=row["current_run"],
        assets=row["assets"],
        latest=to_run(row) if row["id"] is not None else None,
        version=row["brand_version"],
    )


def to_item(
    row: asyncpg.Record,
    brand: str,
    run_kind: RunKind = RunKind.FULL,
    traceparent: str | None = None,
    source: str | None = None,
) -> Item:
    """Read a row of ``items``, of a run of ``brand``."""
    return Item(
        run_id=row["run_id"],
        key=row["key"],
        brand=brand,
        url=row["url"],
        metadata=row["metadata"],
        state=ItemState(row["state"]),
        attempts=row["attempts"],
        run_kind=run_kind,
        traceparent=traceparent,
        source=source,
    )


def to_staged(row: asyncpg.Record) -> Staged:
    """Read the columns of an acquired asset."""
    return Staged(**_acquired(row), etag=row["etag"], last_modified=row["last_modified"])


def to_asset(row: asyncpg.Record) -> Asset:
    """Read a row of ``assets``."""
    return Asset(
        run_id=row["run_id"],
        key=row["key"],
        brand=row["brand"],
        url=row["url"],
        metadata=row["metadata"],
        **_acquired(row),
    )


def to_event(row: asyncpg.Record) -> TimelineEvent:
    """Read a row of ``timeline``."""
    return TimelineEvent(row["run_id"], row["seq"], row["at"], row["kind"], row["data"])


def to_insight(row: asyncpg.Record) -> Insight:
    """Read a row of ``insights``."""
    return Insight(row["kind"], row["result"], row["error"], row["seconds"])


def to_marks(row: asyncpg.Record) -> Metadata:
    """Read a row of ``marks``: an asset's marks, without empty ones."""
    known = {name: row[name] for name in MARKS if row[name] is not None}
    return {**(row["more"] or {}), **known}


def _acquired(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "sha256": row["sha256"],
        "object_key": row["object_key"],
        "media_type": row["media_type"],
        "size_bytes": row["size_bytes"],
        "width": row["width"],
        "height": row["height"],
        "phash": row["phash"],
        "colours": to_colours(row["colours"]),
        "model": row["model"],
        "embedding": row.get("embedding"),  # Pages do not read it.
    }


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
