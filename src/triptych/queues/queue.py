"""The port Queue: at-least-once messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Protocol

from msgspec import Meta

from triptych.messages import Delivery, Message
from triptych.wire import Wire


class QueueDepth(Wire, frozen=True):
    """A queue's state, as exact as the queue system reports it."""

    COMPONENT: ClassVar[str] = "QueueShown"

    queue: str
    waiting: Annotated[int, Meta(description="Messages that may be received now.")]
    in_flight: Annotated[
        int,
        Meta(
            description="Messages that somebody works on: received and not answered yet. On SQS "
            "also those that are tried again after a failure: they are hidden until then, and SQS "
            "does not say why a message is hidden."
        ),
    ]
    oldest_s: Annotated[
        float | None, Meta(description="Age of the oldest message; null if empty or unknown.")
    ]
    delayed: Annotated[
        int, Meta(description="Messages whose time has not come: put off, or to be tried again.")
    ] = 0
    """Every message is in exactly one of the three. SQS's counts are approximate: a message that is
    put off without counting its receipt is two from its copy until its deletion."""


class Queue(Protocol):
    """At-least-once queues with visibility timeouts, batches and dead letters."""

    @property
    def poll_wait_s(self) -> float:
        """Return the seconds that a consumer's receive should wait.

        The longer, the fewer requests, and the later a consumer notices that it should stop.
        """
        ...

    async def check(self) -> None:
        """Raise `QueueUnavailable` unless every queue and dead-letter queue exists."""
        ...

    async def send(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0) -> None:
        """Send all messages, in batches of the system's size; entries that fail are sent again.

        A system may shorten ``delay_s`` (SQS: 15 minutes at most): a message that arrives early is
        postponed again.

        Raises:
            QueueUnavailable: some were not accepted in spite of retries. Those that were will be
                delivered; sending all of them again is safe for every consumer here.
        """
        ...

    async def receive(
        self, queue: str, *, limit: int, visibility_s: float, wait_s: float
    ) -> Sequence[Delivery]:
        """Return up to ``limit`` deliveries; wait up to ``wait_s`` for the first.

        A message received more often than the adapter's ``max_receives`` is moved to the
        dead-letter queue instead of being returned.
        """
        ...

    async def extend(self, deliveries: Sequence[Delivery], visibility_s: float) -> None:
        """Keep these invisible for ``visibility_s`` from now: a heartbeat, or a return (0)."""
        ...

    async def put_off(self, delivery: Delivery, delay_s: float, *, counted: bool) -> None:
        """Let a message come again after ``delay_s``; until then it is delayed, not in flight.

        Unless ``counted``, what was received so far no longer counts towards ``max_receives``.
        A message that is gone stays gone. A system may replace it by a copy: then it exists twice
        for a moment, and if the process is killed in between.
        """
        ...

    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge: they will not be delivered again. Missing messages are ignored."""
        ...

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """Move one to its queue's dead-letter queue, with the reason in its headers."""
        ...

    async def depths(self) -> Sequence[QueueDepth]:
        """Return every queue's depth, dead-letter queues included."""
        ...

    async def close(self) -> None:
        """Close connections. Safe to repeat."""
        ...
