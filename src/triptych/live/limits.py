"""The limits of live status: of one client, and of all clients of a process together."""

from __future__ import annotations

from dataclasses import dataclass

PING_S = 25.0
"""Seconds between two pings. Load balancers close a connection that is idle for 60 seconds."""
PONG_S = 20.0
"""Seconds to answer a ping; after that the peer counts as disconnected."""
FRAME_MAX_BYTES = 16 * 1024
"""Size of a client's frame; a larger one is answered with an error."""
MESSAGE_MAX_BYTES = 64 * 1024
"""Size of a client's frame above which the connection is closed with 1009, without reading it."""
GATHER_S = 0.03
"""Seconds for which hints are collected before all that they name is read once."""
RUN_EVERY_S = 0.25
"""Seconds between two states of one run or brand."""
CATCH_UP_S = 1.0
"""Seconds between two reads for changes whose notification was lost."""
STALLED_EVERY_S = 5.0
"""Mean of the seconds between two looks for stalled runs, at most."""
STALLED_LOOKS = 4
"""Looks at least within the time after which a run is stalled."""
STALLED_RUNS_MAX = 10_000
"""Quiet runs that one look judges: an active brand has one, and few are quiet."""
RETRY_MAX_S = 5.0
"""Longest pause before another attempt to read the database, in seconds."""
RECHECK_S = 5.0
"""Seconds between two looks at whether a client's key or token is still valid; also how long a
revoked key may live in HTTP's cache (`triptych.access.key_cache`)."""
TIMELINE_PAGE = 200
"""Events of one timeline frame."""
TIMELINE_PAGES_KEPT = 16
"""Cached pages of one run's timeline, which its subscriptions share."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that a server may configure."""

    clients: int = 2_000
    """Clients of one process; more are refused with 503."""
    clients_each: int = 200
    """Clients of one identity; more are refused with 429. Not of an open server, where all are
    one."""
    subscriptions: int = 100
    """Topics of one client."""
    topics: int = 50_000
    """Topics with subscriptions in one process."""
    frames_per_s: float = 20.0
    """Average rate of one client's frames; further frames are answered with an error, unread."""
    frames_burst: int = 60
    """Frames that one client may send at once."""
    overruns: int = 200
    """Frames above the rate after which a client's connection is closed with 1008."""
    replies: int = 64
    """Replies that may wait for one client; its next frames are read when some have been sent."""
    stalled_s: float = 600.0
    """Seconds without progress after which an active run is stalled."""
    slow_s: float = 30.0
    """Seconds for which a client may leave frames unread before it is closed with 1013."""
