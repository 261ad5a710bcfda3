"""What a trial left behind, read when all is quiet: the invariants are checked on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.support.chaos.patient_api import PatientApi
from tests.support.chaos.reader import Walk
from tests.support.chaos.record import Record
from tests.support.chaos.service import Exit
from tests.support.chaos.trial_database import TrialDatabase

LETTERS_PAGE = 100

RUNS = """
select id, brand, kind, state, reason, sealed, expected, done, failed, seq, version, ended_at,
       added, kept, changed, removed, ai_state, ai_reason from runs order by ended_at nulls last
"""
ITEMS = "select run_id, url, state, reason, detail, attempts from items"
ASSETS = "select run_id, brand, url, sha256, object_key, size_bytes from assets"
STAGED = "select run_id, count(*) as staged from staged group by run_id"
TIMELINE = "select run_id, seq, kind from timeline order by run_id, seq"
BRANDS = "select name, current_run from brands"
OUTBOX = "select id, queue, run_id from outbox"


@dataclass(frozen=True)
class RunRow:
    """A run, as its row has it."""

    id: UUID
    brand: str
    kind: str
    state: str
    reason: str | None
    sealed: bool
    expected: int
    done: int
    failed: int
    seq: int
    version: int
    ended_at: datetime | None
    added: int | None
    kept: int | None
    changed: int | None
    removed: int | None
    ai_state: str
    ai_reason: str | None

    def __str__(self) -> str:
        return f"run {self.id} of {self.brand}"


@dataclass(frozen=True)
class ItemRow:
    """An item, as its row has it."""

    run_id: UUID
    url: str
    state: str
    reason: str | None
    detail: str | None
    attempts: int


@dataclass(frozen=True)
class AssetRow:
    """An asset, as its row has it."""

    run_id: UUID
    brand: str
    url: str
    sha256: bytes
    object_key: str
    size_bytes: int


@dataclass(frozen=True)
class Letter:
    """A dead letter, as the API shows it."""

    queue: str
    message_id: str
    reason: str
    run: str | None


@dataclass(frozen=True)
class Expected:
    """What must have become of a brand in one snapshot."""

    brand: str
    run: UUID | None
    """The run that was to bring it; None for the brand's current snapshot."""
    assets: Mapping[str, bytes | None]
    """By URL: the SHA-256, or None if no server has it."""
    may_fail: frozenset[str]


@dataclass
class Evidence:
    """All rows are of one moment at which nothing changes any more."""

    record: Record
    runs: list[RunRow] = field(default_factory=list)
    """In the order of their ends."""
    items: dict[UUID, list[ItemRow]] = field(default_factory=dict)
    assets: dict[UUID, list[AssetRow]] = field(default_factory=dict)
    staged: dict[UUID, int] = field(default_factory=dict)
    timeline: dict[UUID, list[tuple[int, str]]] = field(default_factory=dict)
    brands: dict[str, UUID | None] = field(default_factory=dict)
    outbox: list[str] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    queues: dict[str, int] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    exits: list[Exit] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    walks: list[Walk] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)

    def committed(self, brand: str) -> list[RunRow]:
        """Return a brand's committed runs, the oldest first."""
        return [run for run in self.runs if run.brand == brand and run.state == "committed"]

    def snapshot(self, run: UUID) -> dict[str, bytes]:
        """Return the snapshot that a run committed: URL and SHA-256."""
        return {asset.url: asset.sha256 for asset in self.assets.get(run, ())}


async def read_rows(evidence: Evidence, database: TrialDatabase) -> None:
    """Fill in what the database holds."""
    evidence.runs = [RunRow(**row) for row in await database.fetch(RUNS)]
    evidence.items = _by_run([ItemRow(**row) for row in await database.fetch(ITEMS)])
    evidence.assets = _by_run([AssetRow(**row) for row in await database.fetch(ASSETS)])
    evidence.staged = {row["run_id"]: row["staged"] for row in await database.fetch(STAGED)}
    timeline: dict[UUID, list[tuple[int, str]]] = defaultdict(list)
    for row in await database.fetch(TIMELINE):
        timeline[row["run_id"]].append((row["seq"], row["kind"]))
    evidence.timeline = timeline
    evidence.brands = {row["name"]: row["current_run"] for row in await database.fetch(BRANDS)}
    evidence.outbox = [
        f"{row['queue']} of run {row['run_id']}" for row in await database.fetch(OUTBOX)
    ]


async def read_letters(api: PatientApi) -> list[Letter]:
    """Return all dead letters that the API shows."""
    query: dict[str, str] = {"limit": str(LETTERS_PAGE)}
    found: list[Letter] = []
    while True:
        page: Mapping[str, Any] = await api.ask("GET", "/dead-letters", params=query)
        found += [
            Letter(each["queue"], each["message_id"], each["reason"], each["run"])
            for each in page["items"]
        ]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


def _by_run(rows: Sequence[Any]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        found[row.run_id].append(row)
    return found
