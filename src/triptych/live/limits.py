"""What a client and all clients together may take: the named limits of live status."""

from __future__ import annotations

from dataclasses import dataclass

PING_S = 25.0
"""Between two pings. Load balancers cut a connection that is idle for 60 seconds."""
PONG_S = 20.0
"""Without the answer to a ping the peer counts as gone."""
FRAME_MAX_BYTES = 16 * 1024
"""Of a client's frame; larger ones are answered with an error."""
MESSAGE_MAX_BYTES = 64 * 1024
"""Of a client's frame; for larger ones the connection is closed with 1009, unread."""
GATHER_S = 0.03
"""For which hints are collected before what they name is read, once."""
RUN_EVERY_S = 0.25
"""Between two states of one run or brand."""
CATCH_UP_S = 1.0
"""Between two looks for changes that no notification told of."""
RETRY_MAX_S = 5.0
"""Longest pause before the database is asked again."""
TIMELINE_PAGE = 200
"""Events of one timeline frame."""
TIMELINE_PAGES_KEPT = 16
"""Pages of one run's timeline that are kept to be shared."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that a server may set otherwise."""

    clients: int = 2_000
    """In one process; more are refused with 503."""
    subscriptions: int = 100
    """Of one client."""
    topics: int = 50_000
    """In one process, that somebody is subscribed to."""
    frames_per_s: float = 20.0
    """From one client, in the long run; more are answered with an error and not read."""
    frames_burst: int = 60
    """From one client, at once."""
    overruns: int = 200
    """Frames above the rate after which a client is closed with 1008."""
    replies: int = 64
    """Waiting for one client; then nothing more of it is read until they are taken."""
    slow_s: float = 30.0
    """For which a client may leave its frames unread; then it is closed with 1013."""
