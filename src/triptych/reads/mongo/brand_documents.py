"""A brand as a document of MongoDB: how it is shown, and which of its editions is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import orjson

from triptych.model import Insight, Run
from triptych.reads.edition import BrandRow, Edition, EditionWhole
from triptych.reads.mongo.documents import Document, part_count
from triptych.runs.run_shown import BrandShown, RunShown

INSIGHTS = "insights"
"""What an edition's insights are called among its parts."""
MAP = "map"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RUN_FIELDS = Run.__struct_fields__


@dataclass(frozen=True, slots=True)
class Visible:
    """The edition of a brand that is read."""

    brand: str
    edition: Edition
    assets: int
    token: str
    """Another one each time that an edition is shown."""
    insights: int
    """Parts that its insights are in."""
    map: int | None
    """Parts that its map is in; None without one."""

    @property
    def ai_at(self) -> datetime | None:
        """Return when the AI phase published."""
        return EPOCH + timedelta(microseconds=self.edition.ai) if self.edition.ai else None


def brand_fields(row: BrandRow) -> Document:
    """Return the fields that say how a brand is shown."""
    return {
        "shown": msgspec.json.encode(row.shown).decode(),
        "state": row.shown.state,
        "searched": row.searched,
        "version": row.shown.version,
        "snapshots": [msgspec.json.encode(run).decode() for run in row.snapshots],
        "more": row.more,
    }


def visible_field(edition: Edition, whole: EditionWhole, token: str, at: datetime) -> Document:
    """Return the field that makes an edition the one that is read."""
    found: Document = {
        **edition_fields(edition),
        "edition": edition.name,
        "assets": whole.assets,
        "token": token,
        "at": at,
        "insights": part_count(encode_insights(whole)),
        "map": None if whole.map is None else part_count(whole.map),
        "covers": [key.hex() for key in whole.covers],
    }
    if edition.ai:
        found["mapped_at"] = EPOCH + timedelta(microseconds=edition.ai)
    return found


def edition_fields(edition: Edition) -> Document:
    """Return an edition's own fields."""
    return {"run": str(edition.run), "ai": edition.ai, "committed": edition.committed}


def read_edition(field: Mapping[str, Any]) -> Edition:
    """Return the edition that has these fields."""
    return Edition(field["committed"], field["ai"], UUID(field["run"]))


def read_visible(document: Mapping[str, Any]) -> Visible | None:
    """Return the edition of a brand's document that is read, if there is one."""
    field = document.get("visible")
    if field is None:
        return None
    return Visible(
        document["_id"],
        read_edition(field),
        field["assets"],
        field["token"],
        field["insights"],
        field["map"],
    )


def read_covers(document: Mapping[str, Any]) -> list[bytes]:
    """Return the covers of a brand's document; none if it was written before there were any."""
    field = document.get("visible") or {}
    return [bytes.fromhex(key) for key in field.get("covers", ())]


def read_shown(document: Mapping[str, Any]) -> BrandShown:
    """Return how a brand is shown."""
    # Kept by an earlier release, it has no words and times.
    return msgspec.json.decode(document["shown"], type=BrandShown).with_schedule_explained()


def read_run(text: str) -> Run:
    """Return a run that was kept as it is shown."""
    shown = msgspec.json.decode(text, type=RunShown)
    return Run(**{name: getattr(shown, name) for name in _RUN_FIELDS})


def encode_insights(whole: EditionWhole) -> bytes:
    """Return an edition's insights as JSON; nothing if it has none."""
    if not whole.insights:
        return b""
    return orjson.dumps(
        [
            {"kind": each.kind, "result": each.result, "error": each.error, "seconds": each.seconds}
            for each in whole.insights
        ]
    )


def decode_insights(body: bytes) -> list[Insight]:
    """Return the insights of `encode_insights`."""
    return [Insight(**each) for each in orjson.loads(body)] if body else []
