"""The port DeadLetterStore: messages that could not be processed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from triptych.messages import HEADER_ITEM, HEADER_ORIGIN_ID, HEADER_REASON, HEADER_RUN
from triptych.model import Metadata, Slice
from triptych.wire import Wire

LETTERS_COUNTED_MAX = 10_000
"""Dead letters that wait are counted so far."""

NOT_REDRIVEN = (HEADER_REASON, HEADER_ORIGIN_ID, HEADER_RUN, HEADER_ITEM)
"""Headers that a redriven message goes without: what it belonged to has ended."""


class DeadLetter(Wire, frozen=True):
    """A message that could not be processed, kept to be read and redriven."""

    queue: str
    message_id: str
    body: Any
    headers: Metadata
    reason: str
    run_id: UUID | None = msgspec.field(name="run")


class KeptLetter(DeadLetter, frozen=True, kw_only=True):
    """A message that could not be processed."""

    COMPONENT: ClassVar[str] = "DeadLetterShown"

    id: int
    at: datetime
    redriven_at: datetime | None

    @property
    def letter(self) -> DeadLetter:
        """The letter as it was recorded."""
        return DeadLetter(*(getattr(self, name) for name in DeadLetter.__struct_fields__))


class Letters(Wire, frozen=True):
    """A summary of the dead letters: any change of one changes the count or the id."""

    waiting: Annotated[int, Meta(description="Not sent again; counted up to 10,000.")] = (
        msgspec.field(name="dead_letters")
    )
    newest: Annotated[int | None, Meta(description="Id of the newest.")] = msgspec.field(
        name="newest_letter"
    )


class DeadLetterStore(Protocol):
    """Dead letters. Each method is one transaction."""

    async def record(self, letter: DeadLetter) -> None:
        """Store a dead letter. Safe to repeat: one row per message."""
        ...

    async def dead_letters(self, *, limit: int) -> Sequence[tuple[datetime, DeadLetter]]:
        """Return the newest dead letters."""
        ...

    async def page(self, *, before: int | None, limit: int) -> Slice[KeptLetter, int]:
        """Return dead letters, newest first."""
        ...

    async def count(self, *, limit: int) -> Letters:
        """Return how many dead letters wait, up to a limit, and the newest one's id."""
        ...

    async def redrive_letters(
        self, *, ids: Sequence[int] | None, queue: str | None, limit: int
    ) -> int:
        """Put dead letters into the outbox for the queues they came from; return how many.

        Each is sent once, as an external message: its run has ended. Letters of active runs,
        redriven ones and those whose body is not an object are skipped.
        """
        ...

    async def discard(self, ids: Sequence[int]) -> int:
        """Delete dead letters; return how many there were. What failed with them stays failed."""
        ...
