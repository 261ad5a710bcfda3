"""The shared state of the in-memory stores: rows, a clock and listeners.

Everything runs on one event loop and no method awaits in the middle of a change, so each change is
one transaction. Nothing here outlives the process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import orjson

from triptych.ai.ai_store import AssetVectors
from triptych.database.rows import brand_not_found
from triptych.database.session import no_nul
from triptych.dead_letters.dead_letter_store import KeptLetter
from triptych.errors import RunNotFound
from triptych.features.feature_store import Feature, FeatureKind
from triptych.messages import Message
from triptych.model import (
    Asset,
    Insight,
    Item,
    ItemState,
    Metadata,
    Run,
    RunKind,
    RunState,
    Staged,
    TimelineEvent,
)
from triptych.runs.change_feed import News
from triptych.runs.run_store import DETAIL_MAX_CHARS, Outgoing, RefusedRow

TICK = timedelta(microseconds=1)


@dataclass(slots=True, eq=False)
class BrandRow:
    """A brand."""

    name: str
    source: str | None
    changed_at: datetime
    current_run: UUID | None = None
    source_run: UUID | None = None
    """The run that brought the source; the brand had another before."""
    source_before: str | None = None
    schedule: str | None = None
    due_at: datetime | None = None
    deleting: bool = False


@dataclass(slots=True, eq=False)
class ItemRow:
    """An item of a run."""

    key: bytes
    position: int
    """Order of dispatch within the run."""
    url: str
    metadata: Metadata
    state: ItemState = ItemState.PENDING
    sent_at: datetime | None = None
    sends: int = 0
    attempts: int = 0
    message_id: str | None = None
    """The id of an external message."""
    reason: str | None = None
    detail: str = ""
    settled_at: datetime | None = None
    waits_for: str | None = None
    """The host that it waits, or waited, for."""
    tried_at: datetime | None = None
    """When its last attempt was counted."""
    due_at: datetime | None = None
    """Until when it was put off then, or later."""


@dataclass(slots=True, eq=False)
class OutageRow:
    """A host that does not answer a run."""

    seen_at: datetime
    waited_s: float = 0.0
    shown: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class AssetRow:
    """An asset of a snapshot."""

    url: str
    metadata: Metadata
    also: Sequence[Metadata]
    staged: Staged
    first_seen: datetime
    """When its brand's snapshot first had its URL."""


@dataclass(slots=True, eq=False)
class RunRow:
    """A run with all its rows."""

    run: Run
    changed_at: datetime
    expected_at: datetime
    """Time at which the newest item was added."""
    dispatched_at: datetime | None = None
    """Time at which the first item was dispatched."""
    gather_cursor: str | None = None
    next_position: int = 0
    next_dispatch: int = 0
    """Items at positions below this were dispatched."""
    items: dict[bytes, ItemRow] = field(default_factory=dict)
    staged: dict[bytes, Staged] = field(default_factory=dict)
    assets: dict[bytes, AssetRow] = field(default_factory=dict)
    """In key order, once the run has committed."""
    rows_adopted: int = 0
    refused_rows: list[RefusedRow] = field(default_factory=list)
    merged_rows: dict[bytes, list[Metadata]] = field(default_factory=dict)
    outages: dict[str, OutageRow] = field(default_factory=dict)
    """By host."""
    timeline: list[TimelineEvent] = field(default_factory=list)
    insights: dict[str, Insight] = field(default_factory=dict)
    marks: dict[bytes, Metadata] = field(default_factory=dict)
    vectors: list[AssetVectors] = field(default_factory=list)

    def in_order(self) -> list[ItemRow]:
        """Return the items in order of dispatch."""
        return sorted(self.items.values(), key=lambda item: item.position)


@dataclass(slots=True, eq=False)
class OwedRow:
    """An outbox message for a queue."""

    outgoing: Outgoing
    run_id: UUID | None
    created_at: datetime


MOVES = frozenset({"progressed_at", "paused", "state"})
"""Fields of a run whose change is progress, a pause or the end."""


class MemoryState:
    """The rows of a group of in-memory stores. Not thread-safe."""

    def __init__(self) -> None:
        self.brands: dict[str, BrandRow] = {}
        self.runs: dict[UUID, RunRow] = {}
        """In the order in which they were opened."""
        self.outbox: dict[int, OwedRow] = {}
        self.url_lists: dict[tuple[str, str], tuple[bytes, datetime]] = {}
        self.trusted_sources: dict[str, dict[str, None]] = {}
        """Of each brand, the one that was named last at the end."""
        """Given URLs by brand and source, encoded, and when they were kept last."""
        self.letters: dict[int, KeptLetter] = {}
        self.features: dict[tuple[bytes, FeatureKind], Feature] = {}
        self._listeners: set[Listener] = set()
        self._owed = count(1)
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time; always later than the previous result."""
        self._last = max(datetime.now(UTC), self._last + TICK)
        return self._last

    def brand_row(self, name: str) -> BrandRow:
        """Return a brand's row.

        Raises:
            BrandNotFound: there is none of that name.
        """
        if name not in self.brands:
            raise brand_not_found(name)
        return self.brands[name]

    def run_row(self, run_id: UUID) -> RunRow:
        """Return a run's row.

        Raises:
            RunNotFound: there is none of that id.
        """
        if run_id not in self.runs:
            raise RunNotFound(f"There is no run {run_id}.")
        return self.runs[run_id]

    def newest_first(self, brand: str | None = None) -> list[RunRow]:
        """Return the runs of a brand, or all, newest first."""
        rows = [row for row in self.runs.values() if brand in (None, row.run.brand)]
        return rows[::-1]

    def active_run(self, brand: str) -> RunRow | None:
        """Return the brand's active run, if it has one."""
        rows = self.newest_first(brand)
        return next((row for row in rows if row.run.state is RunState.ACTIVE), None)

    def snapshot_row(self, brand: str) -> RunRow | None:
        """Return the run that is the brand's current snapshot, if it has one."""
        row = self.brands.get(brand)
        return None if row is None or row.current_run is None else self.runs[row.current_run]

    def upsert_brand(self, name: str, source: str | None, run_id: UUID | None = None) -> BrandRow:
        """Return a brand's row, created if needed; None as source keeps the current source.

        ``run_id``: the run that brings the source.
        """
        row = self.brands.get(name)
        if row is None:
            row = self.brands[name] = BrandRow(name, source, self.now())
            row.source_run = None if source is None else run_id
            self.notify(News(brands={name}))
        elif source is not None and source != row.source:
            before = row.source
            self.change_brand(row, source=source, source_run=run_id, source_before=before)
        return row

    def give_source_back(self, run_id: UUID) -> None:
        """Undo what a run brought that has read no row of it: see `RunStore.fail`."""
        run = self.run_row(run_id).run
        brand = self.brands.get(run.brand)
        if brand is None or brand.source_run != run_id or brand.deleting:
            return
        if run.state is RunState.ACTIVE and run.rows_read == 0:
            self.change_brand(
                brand, source=brand.source_before, source_run=None, source_before=None
            )

    def change_brand(self, row: BrandRow, **fields: Any) -> None:
        """Change a brand's row."""
        for name, value in fields.items():
            setattr(row, name, value)
        row.changed_at = self.now()
        self.notify(News(brands={row.name}))

    def change(self, row: RunRow, **fields: Any) -> Run:
        """Change a run, increment its version and notify listeners. Return the new state.

        What moves, pauses or ends it takes away the note that it is stalled.
        """
        if fields.keys() & MOVES:
            fields["stalled"] = False
        row.run = msgspec.structs.replace(row.run, version=row.run.version + 1, **fields)
        row.changed_at = self.now()
        self.notify(News(runs={row.run.id: row.run.version}))
        return row.run

    def event(self, row: RunRow, kind: str, data: Metadata) -> None:
        """Add to a run's timeline."""
        run = self.change(row, seq=row.run.seq + 1)
        row.timeline.append(TimelineEvent(run.seq, self.now(), kind, as_json(data)))

    def owe(self, queue: str, message: Message, run_id: UUID | None) -> None:
        """Add a message to the outbox of a queue."""
        number = next(self._owed)
        sent = Message(as_json(message.body), as_json(message.headers), message.brand)
        self.outbox[number] = OwedRow(Outgoing(number, queue, sent), run_id, self.now())

    def notify(self, news: News) -> None:
        """Notify all listeners of changes."""
        for listener in self._listeners:
            listener.hear(news)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Register a listener for the duration of a block."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)


class Listener:
    """A listener for changes."""

    def hear(self, news: News) -> None:
        """Receive a notification of changes."""
        raise NotImplementedError


def as_json(value: Any) -> Any:
    """Return a copy of a JSON value, so that no store shares one with its caller.

    Raises:
        TypeError: it is not a JSON value; a database would reject it, too.
    """
    return orjson.loads(orjson.dumps(value if not hasattr(value, "items") else dict(value)))


def stored(staged: Staged) -> Staged:
    """Return the stored form of an acquired asset: its embedding in half precision."""
    vector = staged.embedding
    kept = None if vector is None else vector.astype(np.float16).astype(np.float32)
    etag, modified = no_nul([staged.etag, staged.last_modified], DETAIL_MAX_CHARS)
    return replace(staged, embedding=kept, etag=etag, last_modified=modified, put_at=None)


def to_item(row: RunRow, item: ItemRow, *, due_in_s: float | None = None) -> Item:
    """Return an item; with what its processing needs if ``due_in_s`` is given."""
    run, worked_on = row.run, due_in_s is not None
    return Item(
        run.id,
        item.key,
        run.brand,
        item.url,
        item.metadata,
        item.state,
        item.attempts,
        run.kind if worked_on else RunKind.FULL,
        source=run.source if worked_on else None,
        due_in_s=due_in_s or 0.0,
        waits_for=item.waits_for if worked_on else None,
    )


def to_asset(run: Run, key: bytes, row: AssetRow, *, embedding: bool = True) -> Asset:
    """Return an asset of a snapshot."""
    found = row.staged
    return Asset(
        run_id=run.id,
        key=key,
        brand=run.brand,
        url=row.url,
        sha256=found.sha256,
        object_key=found.object_key,
        media_type=found.media_type,
        size_bytes=found.size_bytes,
        width=found.width,
        height=found.height,
        phash=found.phash,
        embedding=found.embedding if embedding else None,
        model=found.model,
        metadata=row.metadata,
        also=row.also,
        colours=found.colours,
    )
