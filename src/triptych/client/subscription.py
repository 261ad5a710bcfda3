"""A client of live status: connects, subscribes, comes back after a cut, never goes backwards."""

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
"""Without a single frame, however often it was tried."""
TOO_MANY = 429
"""Refused for now: others, or this one, have asked too often."""
FRAME_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Update:
    """Something new of a topic: a state, or the next events of a run's timeline."""

    topic: str
    version: int
    final: bool
    state: Mapping[str, Any] | None
    key: str | None = None
    """Topic ``brands``: the brand."""
    events: Sequence[Mapping[str, Any]] = ()
    """When it tells of events, ``state`` is None and ``version`` their last seq."""


@dataclass(slots=True)
class _Progress:
    """How far each topic has come, over all connections."""

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
                # A run's version names one state; a brand's may be shared by two.
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
    """Yield what is told of some topics, for ever; ``after`` asks for runs' timelines.

    ``socket`` is a unix socket on which the server is reached, whatever ``url`` names.

    A cut connection is made anew after a pause that grows and is jittered, each topic from where
    it was: states never go back to an older version, and timelines have neither gap nor duplicate.

    Raises:
        LiveUnavailable: the server refuses this client, or nothing was heard for ``give_up_s``.
    """
    # Not by the iterator of `websockets`: it comes back without a pause to a server that accepts
    # and then closes, as one does that is full or drains.
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
                    told = progress.take(frame)
                    if told is not None:
                        yield told
        except InvalidStatus as error:
            if error.response.status_code < 500 and error.response.status_code != TOO_MANY:
                raise LiveUnavailable(_refusal(error), remedy="Check the key.") from error
            reason: object = f"status {error.response.status_code}"
        except (OSError, TimeoutError, InvalidHandshake, WebSocketException) as error:
            reason = error
        else:
            reason = "closed by the server"
        failures += 1
        if loop.time() - heard_at > give_up_s:
            raise LiveUnavailable(
                f"{url} does not answer ({reason}).", remedy="Check that `triptych live` runs."
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
        LiveUnavailable: see `follow`; or the server knows no such run.
    """
    topic = f"{RUN_PREFIX}{run_id}"
    told_of = follow(url, [topic], headers=headers, socket=socket)
    version = -1
    try:
        async for told in told_of:
            if told.state is None:
                raise LiveUnavailable(f"The server knows no run {run_id}.")
            if told.version > version:
                version = told.version
                yield msgspec.convert(told.state, RunShown)
            if told.final:
                return
    finally:
        await told_of.aclose()


async def task_remote(
    url: str,
    task_id: UUID,
    *,
    headers: Mapping[str, str] | None = None,
    socket: Path | None = None,
) -> Task:
    """Return a task's last state, when it has come to it.

    Raises:
        LiveUnavailable: see `follow`; or the server knows no such task.
    """
    told_of = follow(url, [f"{TASK_PREFIX}{task_id}"], headers=headers, socket=socket)
    try:
        async for told in told_of:
            if told.state is None:
                raise LiveUnavailable(f"The server knows no task {task_id}.")
            if told.final:
                return msgspec.convert(told.state, Task)
    finally:
        await told_of.aclose()
    raise AssertionError  # It is followed for ever.


async def timeline_remote(
    url: str, run_id: UUID, *, after: int = 0, headers: Mapping[str, str] | None = None
) -> AsyncIterator[TimelineEvent]:
    """Yield a run's timeline behind a seq, each event once and in order, until the run is over."""
    topic = f"{RUN_PREFIX}{run_id}"
    told_of = follow(url, [topic], after={topic: after}, headers=headers)
    end: int | None = None
    try:
        async for told in told_of:
            if told.final:
                end = told.state["seq"] if told.state is not None else 0
            for event in told.events:
                after = event["seq"]
                yield msgspec.convert(event, TimelineEvent)
            if end is not None and after >= end:
                return
    finally:
        await told_of.aclose()
