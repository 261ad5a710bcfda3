"""What the API answers: exactly the fields that stand here.

Imports neither FastAPI nor anything of the server's, so that clients can use it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from triptych.access.access_store import Scope
from triptych.model import AiState, Reason, RunKind, RunState
from triptych.tasks.task_store import TaskState
from triptych.webhooks.webhook_store import Event

T = TypeVar("T")


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class Page(Answer, Generic[T]):
    """A page of a listing. One may be short, or empty, and still have a `next`."""

    items: list[T]
    next: str | None = Field(description="The next page's `cursor`; null on the last page.")


class PolicyShown(Answer):
    """What a run may cost and tolerate."""

    tolerated_failures: float
    max_attempts: int
    deadline_s: float


Phase = Literal["gather", "acquire", "commit", "ai", "over"]


class RunShown(Answer):
    """A run."""

    id: UUID
    brand: str
    kind: RunKind
    state: RunState
    over: Annotated[bool, Field(description="Nothing more will happen to it.")]
    phase: Phase
    source: str | None
    policy: PolicyShown
    sealed: bool
    paused: bool
    expected: int
    done: int
    failed: int
    settled: int
    out: int
    version: Annotated[int, Field(description="Grows with every change.")]
    seq: Annotated[int, Field(description="Of its newest timeline event.")]
    created_at: datetime
    progressed_at: datetime
    deadline_at: datetime
    ended_at: datetime | None
    reason: str | None
    reasons: dict[str, int]
    added: int | None
    kept: int | None
    changed: int | None
    removed: int | None
    ai_state: AiState
    ai_reason: str | None
    ai_progress: Annotated[dict[str, Any], Field(description="How far a running AI phase is.")]
    traceparent: str | None


class BrandShown(Answer):
    """A brand."""

    name: str
    source: str | None
    schedule: str | None
    due_at: datetime | None
    state: RunState | Literal["new"]
    phase: Phase
    current_run: Annotated[UUID | None, Field(description="The run that is its snapshot.")]
    assets: int
    latest: Annotated[RunShown | None, Field(description="Its newest run.")]
    version: Annotated[int, Field(description="Grows with every change.")]


class ColourShown(Answer):
    """A colour of an asset."""

    hex: str
    share: float


class AssetShown(Answer):
    """An asset. Its `id` is the same in every snapshot of its brand."""

    id: str
    brand: str
    run: UUID
    url: str
    sha256: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    phash: str | None
    colours: list[ColourShown]
    model: str | None
    metadata: dict[str, Any]


class SnapshotShown(Answer):
    """What a run committed."""

    run: UUID
    current: bool
    kind: RunKind
    created_at: datetime
    ended_at: datetime | None
    assets: int
    added: int | None
    kept: int | None
    changed: int | None
    removed: int | None


class DifferenceShown(Answer):
    """A URL that two snapshots have otherwise. `before` and `after` are SHA-256."""

    id: str
    url: str
    change: Literal["added", "removed", "changed"]
    before: str | None
    after: str | None


class EventShown(Answer):
    """Something that happened to a run."""

    seq: int
    at: datetime
    kind: str
    data: dict[str, Any]


class TimelineShown(Answer):
    """A run's events. `next` is the seq behind which they go on, also if none is there yet."""

    items: list[EventShown]
    next: int


class FailuresShown(Answer):
    """The failed items of a run that share a reason."""

    reason: Reason
    count: int
    meaning: str
    redrive: str


class FailureReasonsShown(Answer):
    """Why a run's items failed, the most frequent reason first."""

    items: list[FailuresShown]


class FailedItemShown(Answer):
    """An item that failed."""

    url: str
    detail: str
    attempts: int
    settled_at: datetime | None


class PaceBucketShown(Answer):
    """What settled within a span of time."""

    at: Annotated[datetime, Field(description="When the span begins.")]
    settled: int
    failed: int
    p50_s: Annotated[
        float | None, Field(description="From an item's last dispatch until it settled: median.")
    ]
    p95_s: float | None


class PaceShown(Answer):
    """How fast a run went."""

    width_s: Annotated[float, Field(description="Seconds that each bucket spans.")]
    each: Annotated[int, Field(description="Every how manieth item was looked at.")]
    buckets: Annotated[
        list[PaceBucketShown], Field(description="By time; empty spans are left out.")
    ]


class InsightShown(Answer):
    """What an AI step found, or how it failed."""

    kind: str
    result: dict[str, Any] | None
    error: str | None
    seconds: float


class InsightsShown(Answer):
    """What the AI phase found in the brand's snapshot."""

    run: UUID | None
    ai_state: AiState
    ai_reason: str | None
    items: list[InsightShown]


class QueueShown(Answer):
    """A queue."""

    queue: str
    waiting: int
    in_flight: int
    oldest_s: float | None


class QueuesShown(Answer):
    """The queues, and the dead letters that wait to be sent again."""

    items: list[QueueShown]
    dead_letters: Annotated[
        int, Field(description="Kept and not sent again; counted up to 10,000.")
    ]
    newest_letter: Annotated[int | None, Field(description="Id of the newest that is kept.")]


class DeadLetterShown(Answer):
    """A message that could not be processed."""

    id: int
    at: datetime
    queue: str
    message_id: str
    body: Any
    headers: dict[str, Any]
    reason: str
    run: UUID | None
    redriven_at: datetime | None


class WorkerShown(Answer):
    """A worker."""

    id: UUID
    host: str
    pid: int
    version: str
    phases: list[str]
    alive: bool
    stopping: bool
    started_at: datetime
    silent_s: float
    doing: dict[str, int]


class WorkersShown(Answer):
    """The workers."""

    items: list[WorkerShown]


class SettingShown(Answer):
    """A setting in force."""

    name: str
    value: str
    origin: str


class SettingsShown(Answer):
    """The settings in force. Secrets are hidden."""

    items: list[SettingShown]


class TaskShown(Answer):
    """An operation that was accepted."""

    id: UUID
    kind: str
    state: TaskState
    brand: str | None
    run: UUID | None
    created_at: datetime
    ended_at: datetime | None
    result: dict[str, Any]


class WebhookShown(Answer):
    """An address that is told of events."""

    id: UUID
    url: str
    brand: str | None
    events: list[Event]
    created_at: datetime | None
    disabled_at: datetime | None
    reason: Annotated[str | None, Field(description="Why it is told no more.")]


class WebhookMade(WebhookShown):
    """A new webhook."""

    secret: Annotated[str, Field(description="Shown once: what signatures are made with.")]


class WebhooksShown(Answer):
    """The webhooks."""

    items: list[WebhookShown]


class DeliveryShown(Answer):
    """What became of one event for one webhook."""

    id: UUID
    event: str
    attempts: int
    created_at: datetime
    due_at: datetime
    delivered_at: datetime | None
    failed_at: datetime | None
    reason: str | None


class DeliveriesShown(Answer):
    """What a webhook was told."""

    items: list[DeliveryShown]


class AuditShown(Answer):
    """Something an operator did."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


class IdentityShown(Answer):
    """Who asks."""

    name: str
    scope: Scope


class HealthShown(Answer):
    """That it is there."""

    status: Literal["ok"]


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="`urn:triptych:problem:` and the reason.")
    title: str
    status: int
    detail: str
    reason: str = Field(description="For programs; the same for every problem of its type.")
    field: str | None = Field(None, description="What in the request is wrong.")
    remedy: str | None = Field(None, description="What to do about it.")
    instance: str | None = Field(None, description="Of this one; the server's log has it too.")
