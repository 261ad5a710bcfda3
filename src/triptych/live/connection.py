"""One connected client: its frames are processed, and it gets news as fast as it reads."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from triptych.errors import Unavailable
from triptych.live.hub import Hub
from triptych.live.limits import RETRY_MAX_S
from triptych.live.protocol import (
    QUEUES,
    WORKERS,
    Done,
    Error,
    Malformed,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
    dump,
    read_frame,
)
from triptych.live.topics import Subscription, Write
from triptych.runtime.token_bucket import TokenBucket

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
UNAUTHORIZED = 3000
"""Registered with IANA (WebSocket Close Code Number Registry)."""


class Session:
    """A client's subscriptions and what is waiting to be sent to it.

    Waiting are subscriptions, not frames, and a limited number of replies. So a client that does
    not read uses no more memory than these and the server's write buffer.
    """

    def __init__(
        self,
        hub: Hub,
        receive: Receive,
        send: Send,
        write_now: Write | None = None,
        *,
        operator: bool,
        brands: frozenset[str] | None = None,
    ) -> None:
        self._hub = hub
        self._operator = operator
        self._brands = brands
        self._receive = receive
        self._send = send
        self._write_now = write_now
        self._subscriptions: dict[str, Subscription] = {}
        self._waiting: dict[Subscription, None] = {}
        self._replies: deque[str] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._taken = asyncio.Event()
        self._frames = TokenBucket(hub.limits.frames_per_s, hub.limits.frames_burst)
        self._overruns = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: tuple[int, str] | None = None
        self.sending_since: float | None = None
        """When the frame that is being sent was started; None while none is being sent."""

    def mark(self, subscription: Subscription) -> None:
        """See `triptych.live.topics.Reader.mark`."""
        idle = self._wake is not None and not self._wake.done()
        if idle and self._write_now is not None:
            # Usually the client has taken everything before, so its task need not wake.
            if subscription.topic.write_state(subscription, self._write_now):
                self._hub.counters.frames += 1
            if not subscription.topic.has_more(subscription):
                return
        self._waiting[subscription] = None
        self._wake_up()

    def end(self, code: int, reason: str) -> None:
        """Close the connection after the frame that is being sent."""
        self._ending = (code, reason)
        self._wake_up()

    def abandon(self) -> None:
        """End at once, without a close frame: for a client that would not read it."""
        for task in self._tasks:
            task.cancel()

    def reply(self, text: str) -> None:
        """Send a reply before anything else that is waiting."""
        self._replies.append(text)
        self._wake_up()

    async def serve(self) -> None:
        """Serve until the client disconnects or the connection is closed."""
        tasks = {asyncio.create_task(self._listen()), asyncio.create_task(self._deliver())}
        self._tasks = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for subscription in self._subscriptions.values():
                self._hub.unsubscribe(subscription)
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        for error in done:
            # Servers raise OSError when the client has disconnected.
            if isinstance(error, Exception) and not isinstance(error, OSError):
                raise error

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _listen(self) -> None:
        while True:
            while len(self._replies) >= self._hub.limits.replies:
                self._taken.clear()
                await self._taken.wait()
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            if message["type"] == "websocket.receive":
                text = message.get("text")
                self._process(message.get("bytes") or b"" if text is None else text)

    def _process(self, data: str | bytes) -> None:
        if not self._within_rate():
            return
        try:
            frame = read_frame(data)
        except Malformed as malformed:
            self._refuse(malformed.error)
            return
        if isinstance(frame, Subscribe):
            self._subscribe(frame)
        elif isinstance(frame, Unsubscribe):
            self._unsubscribe(frame)
        else:
            assert isinstance(frame, Ping)
            self.reply(dump(Pong(id=frame.id)))

    def _within_rate(self) -> bool:
        limits = self._hub.limits
        if not self._frames.take():
            return True
        self._overruns += 1
        if self._overruns > limits.overruns:
            self.end(POLICY_VIOLATION, "too many frames")
        message = f"More than {limits.frames_per_s:g} frames a second: this frame was ignored."
        self._refuse(Error(code="too_fast", message=message))
        return False

    def _refuse(self, error: Error) -> None:
        self._hub.counters.errors += 1
        self.reply(dump(error))

    def _subscribe(self, frame: Subscribe) -> None:
        limits = self._hub.limits
        names = {wanted.topic: wanted.after for wanted in frame.topics}
        beyond = set() if self._brands is None else names.keys() & {QUEUES, WORKERS}
        for name in sorted(beyond):
            del names[name]
            message = f"This key is limited to brands, and `{name}` is about all of them."
            self._refuse(Error(code="forbidden", message=message, topic=name, id=frame.id))
        new = names.keys() - self._subscriptions.keys()
        full = not self._hub.accepts_topics
        if full or len(self._subscriptions) + len(new) > limits.subscriptions:
            many = f"One client may have {limits.subscriptions} topics: unsubscribe from some."
            message = "This server cannot take more topics. Try again later." if full else many
            self._refuse(Error(code="too_many", message=message, id=frame.id))
            return
        self.reply(dump(Done(type="subscribed", topics=list(names), id=frame.id)))
        for name, after in names.items():
            self._leave(name)
            self._subscriptions[name] = self._hub.subscribe(
                self, name, after, self._brands, operator=self._operator
            )

    def _unsubscribe(self, frame: Unsubscribe) -> None:
        for name in frame.topics:
            self._leave(name)
        self.reply(dump(Done(type="unsubscribed", topics=frame.topics, id=frame.id)))

    def _leave(self, name: str) -> None:
        subscription = self._subscriptions.pop(name, None)
        if subscription is not None:
            self._waiting.pop(subscription, None)
            self._hub.unsubscribe(subscription)

    async def _deliver(self) -> None:
        """Send what is waiting: replies first, then one frame of each subscription in turn."""
        while True:
            if self._replies:
                await self._write(self._replies.popleft())
                self._taken.set()
            elif self._ending is not None:
                code, reason = self._ending
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                return
            elif self._waiting:
                await self._advance(next(iter(self._waiting)))
            else:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake

    async def _advance(self, subscription: Subscription) -> None:
        del self._waiting[subscription]
        try:
            text = await subscription.topic.next(subscription)
        except Unavailable:
            loop = asyncio.get_running_loop()
            loop.call_later(random.uniform(0, RETRY_MAX_S), self._again, subscription)  # noqa: S311
            return
        if text is not None and subscription.topic.name in self._subscriptions:
            # Queued after the others, in case it has more.
            self._waiting[subscription] = None
            await self._write(text)

    def _again(self, subscription: Subscription) -> None:
        if self._subscriptions.get(subscription.topic.name) is subscription:
            self.mark(subscription)

    async def _write(self, text: str) -> None:
        self.sending_since = asyncio.get_running_loop().time()
        await self._send({"type": "websocket.send", "text": text})
        self.sending_since = None
        self._hub.counters.frames += 1
