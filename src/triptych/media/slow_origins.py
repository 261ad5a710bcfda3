"""Which pictures come from where slow ones, or ones that cost a decoder, have lately come from.

That is a host, or a group: a run, or the uploads of one identity.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from triptych.media.decoder_turns import Rank

REMEMBERED_S = 300.0
"""For so long after a slow picture or a lost decoder later pictures of its origin wait for it."""
SLOW_S = 1.0
"""Decoding time from which a picture counts as slow; most take a hundredth of it."""
HOST_LOSSES = 3
"""Lost decoders from which on a host's pictures wait last, whichever group they are of. Of a group
the first one counts: a host may serve many brands, and a run has one."""
ORIGINS_MAX = 10_000
"""Groups and hosts remembered; the one with the least recent loss is forgotten first."""


class SlowOrigins:
    """Remembers groups and hosts by what their pictures did. In bounded memory."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slow: OrderedDict[str, list[float]] = OrderedDict()
        self._lost: OrderedDict[str, list[float]] = OrderedDict()

    def note_seconds(self, group: str, seconds: float) -> None:
        """Note how long a picture of a group took."""
        if seconds >= SLOW_S:
            self._note(self._slow, f"group {group}")

    def note_lost(self, group: str, host: str) -> None:
        """Note that a picture has cost its decoder. ``host`` is empty if there is none."""
        self._note(self._lost, f"group {group}")
        if host:
            self._note(self._lost, f"host {host}")

    def rank(self, group: str, host: str) -> Rank:
        """Return how a picture of that group and host is to wait, as far as they are concerned."""
        if self._recent(self._lost, f"group {group}") >= 1:
            return Rank.LAST
        if host and self._recent(self._lost, f"host {host}") >= HOST_LOSSES:
            return Rank.LAST
        return Rank.SLOW if self._recent(self._slow, f"group {group}") else Rank.QUICK

    def _note(self, times: OrderedDict[str, list[float]], name: str) -> None:
        # No more than are asked for.
        times[name] = [*times.get(name, []), self._clock()][-HOST_LOSSES:]
        times.move_to_end(name)
        if len(times) > ORIGINS_MAX:
            times.popitem(last=False)

    def _recent(self, times: OrderedDict[str, list[float]], name: str) -> int:
        since = self._clock() - REMEMBERED_S
        return sum(at > since for at in times.get(name, ()))
