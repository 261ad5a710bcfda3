"""Waits with a limit, which are said while they last: no start stands still in silence."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

SAY_AFTER_S = 1.5
"""Seconds of a wait after which it is said."""

Say = Callable[[str], None]
"""Shows the user one line; called from any thread."""

_logger = structlog.get_logger(__name__)


def log_line(line: str) -> None:
    """Log what is waited for, where there is no terminal to show it on."""
    _logger.warning("waits", until=line)


def log_nothing(line: str) -> None:
    """Say nothing of a wait that is part of what is said already."""


class Wait:
    """One wait, which starts now; said once, and over at its limit."""

    def __init__(self, what: str, limit_s: float, say: Say) -> None:
        """Start it.

        Args:
            what: completes "Waiting …".
            limit_s: seconds until `goes_on` is False.
            say: shows the line.
        """
        self.what = what
        self._limit_s = limit_s
        self._say = say
        self._said = False
        self._since = time.monotonic()

    @property
    def waited_s(self) -> float:
        """Seconds since it started."""
        return time.monotonic() - self._since

    def goes_on(self) -> bool:
        """Return whether the limit is not reached yet; after `SAY_AFTER_S`, say what it is for."""
        if not self._said and self.waited_s > SAY_AFTER_S:
            self._said = True
            self._say(f"Waiting {self.what}, for at most {self._limit_s:.0f} s.")
        return self.waited_s < self._limit_s
