"""The three queues, their exact message bodies, and the headers that travel with them.

A body is the public contract: any producer may write one, and it contains nothing internal.
Internal values (run, item, trace) travel in headers: SQS message attributes, pgmq headers.
A body without headers is as valid as one with them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from triptych.errors import InvalidBrand, InvalidMessage
from triptych.model import KEY_BYTES

GATHER_QUEUE = "brand-gather-queue"
URL_QUEUE = "url-process-queue"
AI_QUEUE = "brand-ai-phase-queue"
QUEUES = (GATHER_QUEUE, URL_QUEUE, AI_QUEUE)


class Phase(StrEnum):
    """A phase that a worker can serve."""

    GATHER = "gather"
    ACQUIRE = "acquire"
    AI = "ai"

    @property
    def queue(self) -> str:
        """The queue that this phase takes its messages from."""
        return {Phase.GATHER: GATHER_QUEUE, Phase.ACQUIRE: URL_QUEUE, Phase.AI: AI_QUEUE}[self]


DEAD_LETTER_SUFFIX = "-dlq"

BRAND_MAX_CHARS = 100
URL_MAX_CHARS = 8_192
METADATA_IN_BODY_MAX_BYTES = 32 * 1024
"""Larger metadata stays on the item and the body carries ``{}``, so that a message is far smaller
than any queue allows, and usually ten fit into one SQS request."""

METADATA_MAX_BYTES = 256 * 1024
"""An item whose metadata is larger as JSON enters its run as failed."""

SCHEMA_VERSION = "1"
HEADER_VERSION = "triptych-version"
HEADER_RUN = "triptych-run"
HEADER_ITEM = "triptych-item"
HEADER_TASK = "triptych-task"
"""On `AI_QUEUE`: brand-wide work that was submitted, and is to be done instead of the AI phase."""
HEADER_REASON = "triptych-reason"
"""Why a message became a dead letter."""
HEADER_ORIGIN_ID = "triptych-origin-id"
"""The id that a dead letter had in its own queue."""
HEADER_UNREADABLE = "triptych-unreadable-headers"
"""The text of headers that cannot be read: at most `UNREADABLE_MAX_CHARS` characters."""
UNREADABLE_MAX_CHARS = 1024
HEADER_TRACE = "traceparent"
"""W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header"""
TRACE_FORM = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def well_formed_trace(traceparent: str | None) -> str | None:
    """Return a well-formed traceparent; None for any other, as if it were absent."""
    return traceparent if traceparent and TRACE_FORM.fullmatch(traceparent) else None


def dead_letter_queue(queue: str) -> str:
    """Return the name of the queue that receives ``queue``'s undeliverable messages."""
    return f"{queue}{DEAD_LETTER_SUFFIX}"


def check_brand(name: str) -> str:
    """Return ``name`` in Unicode NFC if it can name a brand.

    Names are displayed, stored and used in URL paths, so names that would be invisible, ambiguous
    or a path of their own are refused.

    Raises:
        InvalidBrand: empty, too long, not printable, padded with spaces, ``/``, ``.`` or ``..``.
    """
    normal = unicodedata.normalize("NFC", name)
    if not normal or len(normal) > BRAND_MAX_CHARS:
        problem = f"must have 1 to {BRAND_MAX_CHARS} characters, not {len(normal)}."
    elif not normal.isprintable():
        problem = "must contain only printable characters."
    elif normal != normal.strip():
        problem = "must not begin or end with a space."
    elif "/" in normal or "\\" in normal or normal in {".", ".."}:
        problem = "must not contain a slash or be a relative path."
    else:
        return normal
    raise InvalidBrand(f"A brand's name {problem}", field="brand")


def _brand(name: str) -> str:
    try:
        return check_brand(name)
    except InvalidBrand as error:
        raise ValueError(error.message) from error


BrandName = Annotated[str, AfterValidator(_brand)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GatherBody(_Body):
    """Body on `GATHER_QUEUE`: gather this brand's URLs."""

    brand: BrandName


class UrlBody(_Body):
    """Body on `URL_QUEUE`: acquire this URL for this brand."""

    brand: BrandName
    url: Annotated[str, Field(min_length=1, max_length=URL_MAX_CHARS)]
    metadata: dict[str, Any] = Field(default_factory=dict)


class AiBody(_Body):
    """Body on `AI_QUEUE`: process this brand's current snapshot."""

    brand: BrandName


BodyT = TypeVar("BodyT", bound=_Body)


def parse_body(kind: type[BodyT], body: object) -> BodyT:
    """Return ``body`` as a ``kind``.

    Raises:
        InvalidMessage: naming the first field that is wrong, and why.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidMessage(
            f"{first['msg'].removeprefix('Value error, ').rstrip('.')}.",
            field=where,
            remedy=f"A {kind.__name__} has exactly these fields: {', '.join(kind.model_fields)}.",
        ) from error


@dataclass(frozen=True, slots=True)
class Headers:
    """Triptych's headers. An external message has no ids."""

    run_id: UUID | None = None
    item_key: bytes | None = None
    traceparent: str | None = None
    task_id: UUID | None = None

    def encode(self) -> dict[str, str]:
        """Return the headers as the flat strings that both queue systems carry."""
        encoded = {HEADER_VERSION: SCHEMA_VERSION}
        if self.run_id is not None:
            encoded[HEADER_RUN] = str(self.run_id)
        if self.item_key is not None:
            encoded[HEADER_ITEM] = self.item_key.hex()
        if self.traceparent is not None:
            encoded[HEADER_TRACE] = self.traceparent
        if self.task_id is not None:
            encoded[HEADER_TASK] = str(self.task_id)
        return encoded

    @classmethod
    def decode(cls, raw: Mapping[str, str]) -> Headers:
        """Read the headers; those of other programs are ignored.

        Raises:
            InvalidMessage: a header is malformed, or of an unknown schema version.
        """
        version = raw.get(HEADER_VERSION, SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise InvalidMessage(
                f"Unknown schema version {version!r}.",
                field=HEADER_VERSION,
                remedy=f"This worker reads version {SCHEMA_VERSION}; upgrade it.",
            )
        run_id, task_id = _uuid(raw, HEADER_RUN), _uuid(raw, HEADER_TASK)
        try:
            item_key = bytes.fromhex(raw[HEADER_ITEM]) if HEADER_ITEM in raw else None
        except ValueError as error:
            raise InvalidMessage("Not hexadecimal.", field=HEADER_ITEM) from error
        if item_key is not None and len(item_key) != KEY_BYTES:
            raise InvalidMessage(f"Not {KEY_BYTES} bytes long.", field=HEADER_ITEM)
        return cls(run_id, item_key, well_formed_trace(raw.get(HEADER_TRACE)), task_id)


def _uuid(raw: Mapping[str, str], header: str) -> UUID | None:
    try:
        return UUID(raw[header]) if header in raw else None
    except ValueError as error:
        raise InvalidMessage("Not a UUID.", field=header) from error


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send."""

    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    brand: str | None = None
    """The tenant, for queues that deliver fairly between tenants (SQS ``MessageGroupId``)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A received message, hidden from other consumers until its visibility timeout passes."""

    queue: str
    id: str
    """The same on every delivery of one message, and never reused."""
    receipt: str
    """Identifies this delivery when it is extended, returned or deleted."""
    body: Any
    """Parsed JSON; not yet validated. The text as a ``str`` where it cannot be read."""
    headers: Mapping[str, str]
    receives: int
    """How often it was received, this time included."""
    problem: InvalidMessage | None = None
    """Why its body or its headers cannot be read: then no handler can process it."""
