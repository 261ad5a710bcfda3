"""From the API's JSON back to the nouns that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from triptych.live.states import run_of_state
from triptych.model import Asset, Brand, Colour, Insight
from triptych.objects import object_key
from triptych.queues.queue import QueueDepth
from triptych.runs.run_store import FailureGroup
from triptych.snapshots.asset_ids import read_asset_id
from triptych.snapshots.search_service import Match, Matches

Json = Mapping[str, Any]
HASH_BITS = 64


def brand_of(shown: Json) -> Brand:
    """Return a brand."""
    current, latest = shown["current_run"], shown["latest"]
    return Brand(
        name=shown["name"],
        source=shown["source"],
        current_run=UUID(current) if current is not None else None,
        assets=shown["assets"],
        latest=run_of_state(latest) if latest is not None else None,
        version=shown["version"],
    )


def asset_of(shown: Json) -> Asset:
    """Return an asset. Embeddings do not travel: it has none."""
    _, key = read_asset_id(shown["id"])
    sha256 = bytes.fromhex(shown["sha256"])
    phash = shown["phash"]
    return Asset(
        run_id=UUID(shown["run"]),
        key=key,
        brand=shown["brand"],
        url=shown["url"],
        sha256=sha256,
        object_key=object_key(sha256),
        media_type=shown["media_type"],
        size_bytes=shown["size_bytes"],
        width=shown["width"],
        height=shown["height"],
        phash=None if phash is None else _signed(int(phash, 16)),
        embedding=None,
        model=shown["model"],
        metadata=shown["metadata"],
        colours=tuple(Colour(int(each["hex"], 16), each["share"]) for each in shown["colours"]),
    )


def _signed(bits: int) -> int:
    return bits - (1 << HASH_BITS) if bits >> (HASH_BITS - 1) else bits


def failures_of(shown: Json, examples: Sequence[Json]) -> FailureGroup:
    """Return a group of failures, with some of its items."""
    told = [(each["url"], each["detail"]) for each in examples]
    return FailureGroup(shown["reason"], shown["count"], told)


def depth_of(shown: Json) -> QueueDepth:
    """Return a queue's depth."""
    return QueueDepth(
        queue=shown["queue"],
        waiting=shown["waiting"],
        in_flight=shown["in_flight"],
        oldest_s=shown["oldest_s"],
    )


def insight_of(shown: Json) -> Insight:
    """Return an insight."""
    return Insight(shown["kind"], shown["result"], shown["error"], shown["seconds"])


def matches_of(shown: Json) -> Matches:
    """Return what a search found."""
    rows = [
        Match(asset_of(each["asset"]), each["similarity"], each["score"]) for each in shown["items"]
    ]
    return Matches(rows, shown["model"], exact=shown["exact"], unindexed=shown["unindexed"])
