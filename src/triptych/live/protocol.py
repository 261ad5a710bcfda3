"""The protocol of live status, version 1: the frames of clients and of the server.

Frames are JSON text. Every topic has a state that is sent whole, with a version; a client keeps
the highest version that it has seen of a topic's state and ignores lower ones. A run's timeline is
a list: it is sent from the seq that the client names, without gaps or duplicates.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from triptych.errors import InvalidBrand
from triptych.live.limits import FRAME_MAX_BYTES
from triptych.messages import check_brand
from triptych.wire import encode

PROTOCOL = 1
SUBPROTOCOL = "triptych.v1"
TOPIC_MAX_CHARS = 120
TOPICS_MAX = 100
"""Topics of one frame."""
ID_MAX_CHARS = 64
SEQ_MAX = 2**53 - 1
"""JavaScript's largest safe integer."""
BRANDS, QUEUES, WORKERS, LIMITS = "brands", "queues", "workers", "limits"
RUN_PREFIX, BRAND_PREFIX, TASK_PREFIX = "run:", "brand:", "task:"


def check_topic(name: str) -> str:
    """Return a topic's name in its canonical spelling.

    Raises:
        ValueError: the name is not a topic's.
    """
    if name in {BRANDS, QUEUES, WORKERS, LIMITS}:
        return name
    if name.startswith(RUN_PREFIX):
        return f"{RUN_PREFIX}{id_of(name)}"
    if name.startswith(TASK_PREFIX):
        return f"{TASK_PREFIX}{id_of(name)}"
    if name.startswith(BRAND_PREFIX):
        try:
            return f"{BRAND_PREFIX}{check_brand(name.removeprefix(BRAND_PREFIX))}"
        except InvalidBrand as error:
            raise ValueError(error.message) from error
    raise ValueError(
        "name `brands`, `brand:NAME`, `run:ID`, `task:ID`, `queues`, `workers` or `limits`"
    )


def id_of(topic: str) -> UUID:
    """Return the id in ``run:ID`` or ``task:ID``.

    Raises:
        ValueError: the id is not a UUID.
    """
    try:
        return UUID(topic.partition(":")[2])
    except ValueError:
        raise ValueError("an id is a UUID") from None


TopicName = Annotated[
    str,
    Field(
        max_length=TOPIC_MAX_CHARS,
        description="`brands`, `brand:NAME`, `run:ID`, `task:ID`, `queues`, `workers` or `limits`.",
        examples=["run:0b6e0c4e-7c0b-4f0e-9d53-3f2a8f1f7a11", "brand:nike", "brands", "queues"],
    ),
    AfterValidator(check_topic),
]
FrameId = Annotated[
    str | None,
    Field(max_length=ID_MAX_CHARS, description="Returned in the answer to this frame."),
]


class _Frame(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Wanted(_Frame):
    """A topic to subscribe to, and where its timeline is to start."""

    topic: TopicName
    after: Annotated[
        int | None,
        Field(
            ge=0,
            le=SEQ_MAX,
            description="Runs only: also send the timeline, from the event after this seq.",
        ),
    ] = None


class Subscribe(_Frame):
    """Send these topics' current state, then every newer one. A repetition starts them again."""

    type: Literal["subscribe"]
    topics: Annotated[list[Wanted], Field(min_length=1, max_length=TOPICS_MAX)]
    id: FrameId = None


class Unsubscribe(_Frame):
    """Stop sending these topics."""

    type: Literal["unsubscribe"]
    topics: Annotated[list[TopicName], Field(min_length=1, max_length=TOPICS_MAX)]
    id: FrameId = None


class Ping(_Frame):
    """Answered with `pong`: for clients that cannot see WebSocket pings."""

    type: Literal["ping"]
    id: FrameId = None


ClientFrame = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
_CLIENT: TypeAdapter[Subscribe | Unsubscribe | Ping] = TypeAdapter(ClientFrame)


class Hello(_Frame):
    """The first frame of every connection."""

    type: Literal["hello"] = "hello"
    protocol: int = PROTOCOL
    server: Annotated[str, Field(description="The server's version.")]
    ping_s: Annotated[float, Field(description="Seconds between two of the server's pings.")]
    subscriptions: Annotated[int, Field(description="Topics that one client may have.")]
    frames_per_s: Annotated[float, Field(description="Frames that one client may send a second.")]


class Done(_Frame):
    """The answer to `subscribe` or `unsubscribe`: the change is in effect from now on."""

    type: Literal["subscribed", "unsubscribed"]
    topics: list[str]
    id: str | None = None


class Pong(_Frame):
    """The answer to `ping`."""

    type: Literal["pong"] = "pong"
    id: str | None = None


class State(_Frame):
    """A topic's newest complete state."""

    type: Literal["state"] = "state"
    topic: str
    version: Annotated[
        int, Field(description="Ignore a state with a lower version than seen before.")
    ]
    final: Annotated[bool, Field(description="Nothing more will change, as when a run is over.")]
    key: Annotated[
        str | None, Field(description="Topic `brands` only: the brand whose state this is.")
    ] = None
    state: Annotated[
        dict[str, Any] | None,
        Field(description="As in the API. Null: there is no such thing, whatever the version."),
    ]


class Listed(_Frame):
    """Topic `brands`: every existing brand has been sent once."""

    type: Literal["listed"] = "listed"
    topic: Literal["brands"] = "brands"
    count: int


class Event(_Frame):
    """An event in a run's timeline."""

    seq: int
    at: str
    kind: str
    data: Any


class Timeline(_Frame):
    """The next events of a run's timeline."""

    type: Literal["timeline"] = "timeline"
    topic: str
    last: Annotated[int, Field(description="The seq to continue after when reconnecting.")]
    events: list[Event]


ErrorCode = Literal["malformed", "too_large", "too_many", "too_fast", "forbidden"]


class Error(_Frame):
    """A frame could not be processed. The connection stays open."""

    type: Literal["error"] = "error"
    code: ErrorCode
    message: str
    field: str | None = None
    topic: str | None = None
    id: str | None = None


SERVER_FRAMES: tuple[type[BaseModel], ...] = (
    Hello,
    Done,
    Pong,
    State,
    Listed,
    Timeline,
    Error,
)


class Malformed(Exception):
    """A client's frame does not follow the protocol."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


def read_frame(data: str | bytes) -> Subscribe | Unsubscribe | Ping:
    """Read a client's frame.

    Raises:
        Malformed: the frame is not valid; has the error to send.
    """
    if isinstance(data, bytes):
        raise Malformed(Error(code="malformed", message="Frames must be text, not binary."))
    if len(data.encode(errors="surrogatepass")) > FRAME_MAX_BYTES:
        limit = f"A frame has at most {FRAME_MAX_BYTES} bytes."
        raise Malformed(Error(code="too_large", message=limit))
    try:
        return _CLIENT.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Malformed(
            Error(
                code="malformed",
                message=f"{first['msg'].removeprefix('Value error, ')[:200]}.",
                field=".".join(str(part) for part in first["loc"])[:200] or None,
            )
        ) from error


def dump(frame: BaseModel) -> str:
    """Return a server's frame as JSON."""
    return orjson.dumps(frame.model_dump(exclude_none=True)).decode()


def dump_state(state: object) -> str:
    """Return a topic's state, made of wire types, as JSON."""
    return encode(state).decode()


def state_frame(
    topic: str, version: int, state_json: str, *, final: bool = False, key: str | None = None
) -> str:
    """Return a `State` frame around a state in JSON, so that a process encodes it only once."""
    named = f',"key":{dump_state(key)}' if key is not None else ""
    return (
        f'{{"type":"state","topic":{dump_state(topic)},"version":{version},'
        f'"final":{"true" if final else "false"}{named},"state":{state_json}}}'
    )
