"""A client of live status: it subscribes and reconnects, and its states never go backwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from triptych.errors import LiveUnavailable
from triptych.live.limits import PING_S, PONG_S
from triptych.live.protocol import RUN_PREFIX, SUBPROTOCOL, TASK_PREFIX
from triptych.model import TimelineEvent
from triptych.runs.run_shown import RunShown
from triptych.runtime.retry import backoff
from triptych.tasks.task_store import Task

CONNECT_TIMEOUT_S = 10.0
RECONNECT_BASE_S = 0.2
RECONNECT_MAX_S = 5.0
GIVE_UP_S = 300.0
"""Seconds without a single frame, over all attempts to connect."""
TOO_MANY = 429
"""HTTP status of a temporary refusal: there were too many requests."""
FRAME_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Update:
    """News of a topic: a state, or the next events of a run's timeline."""

    topic: str
    version: int
    final: bool
    state: Mapping[str, Any] | None
    key: str | None = None
    """Topic ``brands``: the brand."""
    events: Sequence[Mapping[str, Any]] = ()
    """If there are events, ``state`` is None and ``version`` is their last seq."""


@dataclass(slots=True)
class _Progress:
    """How far each topic has been received, over all connections."""

    after: dict[str, int]
    versions: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def wanted(self, topics: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"topic": topic, **({"after": self.after[topic]} if topic in self.after else {})}
            for topic in topics
        ]

    def take(self, frame: Mapping[str, Any]) -> Update | None:
        """Return what is new in a frame, if anything."""
        topic = frame.get("topic", "")
        if frame["type"] == "state":
            place = (topic, frame.get("key"))
            if frame["state"] is None:
                self.versions.pop(place, None)
            elif frame["version"] < self.versions.get(place, -1) + topic.startswith(RUN_PREFIX):
                # A run's version identifies one state; two states of a brand may share one.
                return None
            else:
                self.versions[place] = frame["version"]
            return Update(topic, frame["version"], frame["final"], frame["state"], frame.get("key"))
        if frame["type"] == "timeline" and topic in self.after:
            events = [event for event in frame["events"] if event["seq"] > self.after[topic]]
            if events:
                self.after[topic] = events[-1]["seq"]
                return Update(topic, events[-1]["seq"], final=False, state=None, events=events)
        return None


async def follow(
    url: str,
    topics: Sequence[str],
    *,
    after: Mapping[str, int] | None = None,
    headers: Mapping[str, str] | None = None,
    socket: Path | None = None,
    give_up_s: float = GIVE_UP_S,
) -> AsyncGenerator[Update, None]:
    """Yield the updates of some topics, without end; ``after`` requests runs' timelines.

    ``socket`` is a Unix socket on which the server is reached, whatever host ``url`` names.

    A lost connection is opened again after a growing, jittered pause, and each topic continues
    where it was: states never go back to an older version, and timelines have no gaps or
    duplicates.

    Raises:
        LiveUnavailable: the server refuses this client, or sent nothing for ``give_up_s``.
    """
    # Not with the iterator of `websockets`: it reconnects without a pause to a server that accepts
    # and then closes, as a full or draining server does.
    progress = _Progress(dict(after or {}))
    loop = asyncio.get_running_loop()
    heard_at, failures = loop.time(), 0
    while True:
        try:
            async with _connected(url, headers, socket) as connection:
                wanted = progress.wanted(topics)
                await connection.send(json.dumps({"type": "subscribe", "topics": wanted}))
                async for text in connection:
                    heard_at, failures = loop.time(), 0
                    frame = json.loads(text)
                    if frame["type"] == "error":
                        raise LiveUnavailable(f"The server refuses: {frame['message']}")
                    update = progress.take(frame)
                    if update is not None:
                        yield update
        except InvalidStatus as error:
            reason: object = _temporary_refusal(error)
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            reason = error
        else:
            reason = "closed by the server"
        failures += 1
        if loop.time() - heard_at > give_up_s:
            raise LiveUnavailable(
                f"{url} does not answer ({reason}).",
                remedy="Check that `triptych live` is running.",
            )
        await asyncio.sleep(backoff(failures, base_s=RECONNECT_BASE_S, cap_s=RECONNECT_MAX_S))


def _connected(url: str, headers: Mapping[str, str] | None, socket: Path | None) -> connect:
    options: dict[str, Any] = {
        "subprotocols": [SUBPROTOCOL],
        "additional_headers": dict(headers or {}),
        "open_timeout": CONNECT_TIMEOUT_S,
        "close_timeout": 1.0,
        "ping_interval": PING_S,
        "ping_timeout": PONG_S,
        "max_size": FRAME_MAX_BYTES,
        "compression": None,
        "proxy": None,
    }
    if socket is not None:
        return unix_connect(str(socket), url, **options)
    return connect(url, **options)


def _temporary_refusal(error: InvalidStatus) -> str:
    """Return the reason of a temporary refusal.

    Raises:
        LiveUnavailable: the refusal is permanent.
    """
    status = error.response.status_code
    if status < 500 and status != TOO_MANY:
        raise LiveUnavailable(_refusal(error), remedy="Check the key.") from error
    return f"status {status}"


def _refusal(error: InvalidStatus) -> str:
    try:
        problem = json.loads(error.response.body or b"")
    except ValueError:
        problem = None
    if isinstance(problem, dict) and isinstance(problem.get("title"), str):
        return f"The server refuses: {problem['title'][:200]}"
    return f"The server refuses with status {error.response.status_code}."


async def watch_remote(
    url: str,
    run_id: UUID,
    *,
    headers: Mapping[str, str] | None = None,
    socket: Path | None = None,
) -> AsyncIterator[RunShown]:
    """Yield a run's states from a server, newer ones only, until it and its AI phase are over.

    Raises:
        LiveUnavailable: see `follow`; or the server does not know the run.
    """
    topic = f"{RUN_PREFIX}{run_id}"
    updates = follow(url, [topic], headers=headers, socket=socket)
    version = -1
    try:
        async for update in updates:
            if update.state is None:
                raise LiveUnavailable(f"The server does not know run {run_id}.")
            if update.version > version:
                version = update.version
                yield msgspec.convert(update.state, RunShown)
            if update.final:
                return
    finally:
        await updates.aclose()


async def task_remote(
    url: str,
    task_id: UUID,
    *,
    headers: Mapping[str, str] | None = None,
    socket: Path | None = None,
) -> Task:
    """Return a task's final state as soon as it is reached.

    Raises:
        LiveUnavailable: see `follow`; or the server does not know the task.
    """
    updates = follow(url, [f"{TASK_PREFIX}{task_id}"], headers=headers, socket=socket)
    try:
        async for update in updates:
            if update.state is None:
                raise LiveUnavailable(f"The server does not know task {task_id}.")
            if update.final:
                return msgspec.convert(update.state, Task)
    finally:
        await updates.aclose()
    raise AssertionError  # The updates never end.


async def timeline_remote(
    url: str, run_id: UUID, *, after: int = 0, headers: Mapping[str, str] | None = None
) -> AsyncIterator[TimelineEvent]:
    """Yield a run's timeline after a seq, each event once and in order, until the run is over."""
    topic = f"{RUN_PREFIX}{run_id}"
    updates = follow(url, [topic], after={topic: after}, headers=headers)
    end: int | None = None
    try:
        async for update in updates:
            if update.final:
                end = update.state["seq"] if update.state is not None else 0
            for event in update.events:
                after = event["seq"]
                yield msgspec.convert(event, TimelineEvent)
            if end is not None and after >= end:
                return
    finally:
        await updates.aclose()
