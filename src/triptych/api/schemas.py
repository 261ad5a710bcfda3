"""What the API takes and answers: the one description of both, also for clients.

Imports neither FastAPI nor anything of the server's. Requests refuse unknown fields and wrong
types; answers have exactly the fields that stand here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from triptych.messages import QUEUES, URL_MAX_CHARS
from triptych.model import AiState, Reason, RunKind, RunState
from triptych.ports.access import Scope
from triptych.ports.tasks import TaskState

PAGE_DEFAULT = 50
PAGE_MAX = 500
CURSOR_MAX_CHARS = 1024
TEXT_MAX_CHARS = 100
COLOUR_DISTANCE_MAX = 765
LETTERS_MAX = 1000
ATTEMPTS_MAX = 100
DEADLINE_MAX_S = 7 * 24 * 3600.0

T = TypeVar("T")


def _storable(text: str) -> str:
    """Return text that every database can hold and every terminal can show."""
    if not text.isprintable():
        message = "must have printable characters only"
        raise ValueError(message)
    return text


def _integral(value: object) -> object:
    """Return 3.0 as 3: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(_integral)]
PlainText = Annotated[str, AfterValidator(_storable)]


class Given(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Asked(BaseModel):
    """A request's query. Its values are text, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


# --- requests ---------------------------------------------------------------------------------


class PageAsked(Asked):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Entries on the page.")] = (
        PAGE_DEFAULT
    )
    cursor: Annotated[
        str | None,
        Field(
            max_length=CURSOR_MAX_CHARS,
            pattern=r"^[A-Za-z0-9_-]+$",
            description="`next` of the page before; of the same listing with the same filters.",
        ),
    ] = None


class BrandsAsked(PageAsked):
    """Which brands."""

    name: Annotated[
        PlainText | None,
        Field(min_length=1, max_length=TEXT_MAX_CHARS, description="Part of the name."),
    ] = None
    state: Annotated[RunState | None, Field(description="State of the brand's newest run.")] = None


class AssetsAsked(PageAsked):
    """Which assets."""

    media_type: Annotated[
        str | None,
        Field(
            max_length=TEXT_MAX_CHARS,
            pattern=r"^[a-z]+/(\*|[a-z0-9.+-]+)$",
            description="A media type, or a family: `image/png`, `image/*`.",
        ),
    ] = None
    text: Annotated[
        PlainText | None,
        Field(
            min_length=1,
            max_length=TEXT_MAX_CHARS,
            description="Found in the URL or the metadata, whatever the case.",
        ),
    ] = None
    colour: Annotated[
        str | None,
        Field(pattern=r"^[0-9A-Fa-f]{6}$", description="One of its colours lies near `rrggbb`."),
    ] = None
    within: Annotated[
        float,
        Field(
            ge=0,
            le=COLOUR_DISTANCE_MAX,
            description="How near: 0 the same, 765 from black to white.",
        ),
    ] = 80.0


class DifferenceAsked(PageAsked):
    """Which changes."""

    change: Annotated[Literal["added", "removed", "changed"] | None, Field()] = None


class RunsAsked(PageAsked):
    """Which runs."""

    brand: Annotated[PlainText | None, Field(min_length=1, max_length=TEXT_MAX_CHARS)] = None
    state: Annotated[RunState | None, Field()] = None


class TimelineAsked(Asked):
    """Which events."""

    after: Annotated[int, Field(ge=0, le=2**63 - 1, description="Events behind this seq.")] = 0
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = PAGE_DEFAULT


class PolicyGiven(Given):
    """What a run may cost and tolerate; what is left out is as the settings say."""

    tolerated_failures: Annotated[float | None, Field(ge=0, le=1)] = None
    max_attempts: Annotated[WholeNumber | None, Field(ge=1, le=ATTEMPTS_MAX)] = None
    deadline_s: Annotated[float | None, Field(gt=0, le=DEADLINE_MAX_S)] = None


SourceText = Annotated[PlainText, Field(max_length=URL_MAX_CHARS, pattern=r"^(catalog|manifest):.")]


class RunGiven(Given):
    """How a run is to be started."""

    source: Annotated[
        SourceText | None,
        Field(description="`catalog:https://…` or `manifest:https://…`; else the brand's own."),
    ] = None
    policy: PolicyGiven | None = None


class BrandGiven(Given):
    """What a brand is to have; what is left out is taken away."""

    source: SourceText | None = None
    schedule: Annotated[
        PlainText | None,
        Field(
            max_length=TEXT_MAX_CHARS,
            description="Cron in UTC, five fields: when the brand runs by itself.",
        ),
    ] = None


class LettersGiven(Given):
    """Which dead letters are to be sent again; without either, the oldest 1,000."""

    ids: Annotated[
        list[Annotated[WholeNumber, Field(ge=1, le=2**63 - 1)]] | None,
        Field(min_length=1, max_length=LETTERS_MAX),
    ] = None
    queue: Literal[QUEUES] | None = None  # type: ignore[valid-type]


# --- answers ----------------------------------------------------------------------------------


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
    version: int
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


class BrandShown(Answer):
    """A brand."""

    name: str
    source: str | None
    schedule: str | None
    due_at: datetime | None
    state: RunState | Literal["new"]
    phase: Phase
    snapshot: UUID | None
    assets: int
    last_run: RunShown | None


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
    """The queues."""

    items: list[QueueShown]


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
