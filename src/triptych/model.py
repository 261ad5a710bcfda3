"""The nouns: brand, run, item, asset, insight. Frozen values without behaviour of their own.

Everything else in Triptych uses these; this module imports nothing of Triptych's but `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from triptych.wire import Wire

if TYPE_CHECKING:
    # For types only: errors import this module, and `triptych --help` imports errors.
    import numpy as np
    import numpy.typing as npt

Metadata = Mapping[str, Any]
"""What a source says about a URL: JSON values only."""

KEY_BYTES = 16
"""Length of an item's key: the first bytes of the SHA-256 of its normalised URL."""


class RunKind(StrEnum):
    """What a run's commit does to its brand's snapshot."""

    FULL = "full"
    """Replaces it: assets that the run did not acquire are removed."""
    ADD = "add"
    """Adds to it: assets that the run did not acquire stay."""
    REEMBED = "reembed"
    """Embeds it again, from its stored objects; assets that could not be embedded stay as they
    were."""
    RESTORE = "restore"
    """Replaces it by the assets of an older snapshot, as they were. It has no items."""


class RunState(StrEnum):
    """Where a run is. All but ``ACTIVE`` and ``HELD`` are final."""

    ACTIVE = "active"
    HELD = "held"
    """Complete, but its commit would remove too much: an operator publishes or discards it."""
    COMMITTED = "committed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AiState(StrEnum):
    """Where a run's AI phase is."""

    NONE = "none"
    """The run has not committed."""
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """Replaced by a newer commit, which has an AI phase of its own."""


class ItemState(StrEnum):
    """Where an item is. All but ``PENDING`` are final."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why an item failed: the closed list, as shown to users."""

    INVALID_URL = "invalid_url"
    INVALID_ROW = "invalid_row"
    INVALID_METADATA = "invalid_metadata"
    ADDRESS_REFUSED = "address_refused"
    NAME_NOT_RESOLVED = "name_not_resolved"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    HTTP_ERROR = "http_error"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    ROBOTS_DISALLOWED = "robots_disallowed"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    NO_AI = "no_ai"
    NO_INDEX = "no_index"
    TDM_RESERVED = "tdm_reserved"
    TOO_LARGE = "too_large"
    NOT_AN_IMAGE = "not_an_image"
    UNDECODABLE = "undecodable"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    THROTTLED = "throttled"
    HOST_DOWN = "host_down"
    CONNECTION_FAILED = "connection_failed"
    TRUNCATED = "truncated"
    STORE_FAILED = "store_failed"
    OBJECT_DAMAGED = "object_damaged"
    """Its stored object is damaged or lost, and its URL could not be fetched instead."""
    INTERNAL = "internal"
    """A defect of Triptych's own; the worker's log has the trace."""
    DEAD_LETTERED = "dead_lettered"
    """Its message was delivered again and again and never acknowledged: it kills workers."""
    TIMED_OUT = "timed_out"
    """Still unsettled at the run's deadline."""
    SKIPPED = "skipped"
    """An operator has let it go."""


class Policy(Wire, frozen=True):
    """What a run may cost and tolerate; kept with the run when it opens."""

    tolerated_failures: float
    """Share of items, 0..1, that may fail and the run still commits."""
    max_attempts: int
    """Attempts an item gets before a transient failure is final."""
    deadline_s: float
    """Seconds from the first dispatch until unsettled items time out."""
    max_removed: float = 0.5
    """Share of the snapshot before, 0..1, that a run may remove and still commits by itself. A run
    after which nothing would remain never does."""


class Run(msgspec.Struct, frozen=True):
    """One passage of a brand through the phases, as the database has it."""

    id: UUID
    brand: str
    kind: RunKind
    state: RunState
    source: str | None
    policy: Policy
    sealed: bool
    paused: bool
    expected: int
    done: int
    failed: int
    out: int
    """Items dispatched and not settled."""
    version: Annotated[int, Meta(description="Grows with every change.")]
    """By one; a reader keeps the highest it saw."""
    seq: Annotated[int, Meta(description="Of its newest timeline event.")]
    """0 before the first."""
    created_at: datetime
    progressed_at: Annotated[
        datetime,
        Meta(description="When its items or its state last changed; attempts do not count."),
    ]
    deadline_at: datetime
    ended_at: datetime | None
    reason: str | None
    """Why the run failed or was cancelled."""
    reasons: Mapping[str, int]
    """Failed items by `Reason`, filled when the run ends."""
    added: int | None
    kept: int | None
    changed: int | None
    removed: int | None
    ai_state: AiState
    ai_reason: str | None
    traceparent: str | None = None
    """The trace that it belongs to, as W3C Trace Context writes it."""
    ai_progress: Annotated[Metadata, Meta(description="How far a running AI phase is.")] = (
        msgspec.field(default_factory=dict)
    )
    """``step``, its ``share`` done, and which of how many it is."""
    rows_read: Annotated[int, Meta(description="Rows of the source, and URLs of messages.")] = 0
    """Each is an item, is merged with another one of the same URL, or is refused."""
    rows_refused: Annotated[int, Meta(description="Rows that name no URL.")] = 0
    stalled: Annotated[
        bool,
        Meta(
            description="It is active, and nothing of it has moved for TRIPTYCH_STALLED_S, nor "
            "waits for a known time."
        ),
    ] = False
    """See `RunStore.mark_stalled`."""
    restores: Annotated[
        UUID | None, Meta(description="The run whose snapshot a run of kind `restore` publishes.")
    ] = None

    @property
    def rows_merged(self) -> int:
        """Rows whose URL another row has, too."""
        # Items are counted before the rows of their page are.
        return max(0, self.rows_read - self.rows_refused - self.expected)

    @property
    def settled(self) -> int:
        """Items in a final state."""
        return self.done + self.failed

    @property
    def complete(self) -> bool:
        """True when every expected item is settled and no more will come."""
        return self.sealed and self.settled >= self.expected


class Brand(msgspec.Struct, frozen=True):
    """A brand and its current snapshot."""

    name: str
    source: str | None
    current_run: Annotated[UUID | None, Meta(description="The run that is its snapshot.")]
    """None before the first commit."""
    assets: int
    """Assets in the current snapshot."""
    latest: Run | None
    """The brand's newest run, whatever its state."""
    version: Annotated[int, Meta(description="Grows with every change.")]
    """Never shrinks: when the brand or its newest run last changed, in microseconds of the
    database's clock."""


@dataclass(frozen=True, slots=True)
class NewItem:
    """A row of a source, normalised, on its way into a run."""

    key: bytes
    url: str
    metadata: Metadata
    refused: Reason | None = None
    """Set when the row can never be acquired: it enters the run as failed."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One URL of a run."""

    run_id: UUID
    key: bytes
    brand: str
    url: str
    metadata: Metadata
    state: ItemState
    attempts: int
    """Tries that failed; not deliveries, which also increase by copies, drains and throttling."""
    run_kind: RunKind = RunKind.FULL
    """The kind of its run; set for items that were read to be processed."""
    traceparent: str | None = None
    """Its run's."""
    source: str | None = None
    """Its run's; set for items that were read to be processed."""
    due_in_s: float = 0.0
    """Seconds until it may be tried; set for items that were read to be processed."""
    waits_for: str | None = None
    """The host that did not answer its last try; set for items that were read to be processed."""


class Colour(msgspec.Struct, frozen=True):
    """A colour that dominates a picture."""

    rgb: int
    """``0xRRGGBB``, sRGB."""
    share: float
    """Of the visible pixels, 0..1."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The result of acquiring an item: it becomes an asset when the run commits.

    Other media, such as a video or a PDF, have no size in pixels, hash, colours or embedding.
    """

    sha256: bytes
    object_key: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    phash: int | None
    """64-bit perceptual hash, as a signed integer."""
    embedding: npt.NDArray[np.float32] | None
    """Unit vector of the model's dimension, shape (d,)."""
    model: str | None
    etag: str | None = None
    last_modified: str | None = None
    colours: tuple[Colour, ...] = ()
    """The dominant ones, the largest share first."""
    put_at: float | None = None
    """When its object was put into the store, by this machine's monotonic clock, in seconds; None
    if the snapshot has it already."""
    url: str | None = field(default=None, compare=False)
    """The URL of an asset of the snapshot, which an item of the same identity need not have."""


@dataclass(frozen=True, slots=True)
class ItemResult:
    """How an item ended, on its way into the registry."""

    key: bytes
    staged: Staged | None = None
    reason: Reason | None = None
    detail: str = ""

    @property
    def state(self) -> ItemState:
        """``DONE`` with a staged asset, ``FAILED`` without."""
        return ItemState.DONE if self.staged is not None else ItemState.FAILED


ALSO_MAX = 100
"""Further rows of an asset whose metadata are kept with it; the run counts all."""


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A committed URL of a snapshot. Exports have its fields as columns, in this order."""

    run_id: UUID
    key: bytes
    brand: str
    url: str
    sha256: bytes
    object_key: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    phash: int | None
    colours: tuple[Colour, ...] = ()
    metadata: Metadata
    also: Sequence[Metadata] = ()
    """The metadata of further rows with this URL that differ, at most `ALSO_MAX`."""
    model: str | None
    embedding: npt.NDArray[np.float32] | None


class Insight(Wire, frozen=True):
    """What one AI step found in one snapshot, or how it failed."""

    kind: str
    """The step's name."""
    result: Metadata | None
    error: str | None = None
    seconds: float = 0.0


class TimelineEvent(Wire, frozen=True):
    """Something that happened to a run. ``seq`` has neither gap nor duplicate within a run."""

    COMPONENT: ClassVar[str] = "EventShown"

    seq: int
    at: datetime
    kind: str
    data: Metadata


MARKS: Mapping[str, type] = MappingProxyType(
    {
        "cluster": str,
        "duplicates": str,
        "tags": list,
        "look": str,
        "x": float,
        "y": float,
        "outlier": float,
    }
)
"""The marks that Triptych defines, and their types.

``cluster`` and ``duplicates`` name the group an asset is in; ``tags`` are texts, the most likely
first; ``look`` is its kind of picture; ``x`` and ``y`` are its position on the brand's map;
``outlier`` is how different it looks from its brand, from 0 to 1.
"""


T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T, P]):
    """Some rows of a listing, and where the next ones begin.

    With a filter a slice may be short, or empty, although more rows follow: an adapter reads a
    bounded number of rows for each slice, however many pass the filter.
    """

    rows: Sequence[T]
    next: P | None
    """The position after which the listing continues; None at its end."""


@dataclass(frozen=True, slots=True)
class Age:
    """A position in a listing from the newest to the oldest."""

    at: datetime
    id: UUID
