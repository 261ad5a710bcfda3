"""When API keys expire, as the command line writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from triptych.errors import BadInput

DEFAULT = "365d"
NEVER = "never"
DAYS_MAX = 3650
_DAYS = re.compile(r"([0-9]{1,4})d")
_REMEDY = "Write a number of days (90d), a date (2031-01-31), or never."


def read_expiry(text: str, now: datetime) -> datetime | None:
    """Return when a key expires: at the end of a number of days or at a date, 0:00 UTC.

    Args:
        text: ``90d``, ``2031-01-31`` or ``never``.
        now: with a time zone.

    Returns:
        None for ``never``.

    Raises:
        BadInput: it is none of these, in the past, or more than `DAYS_MAX` days away.
    """
    wanted = text.strip().lower()
    if wanted == NEVER:
        return None
    if days := _DAYS.fullmatch(wanted):
        end = now + timedelta(days=int(days[1]))
    else:
        try:
            end = datetime.strptime(wanted, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise BadInput(f"Not a time: {text!r}.", field="--expires", remedy=_REMEDY) from error
    if not now < end <= now + timedelta(days=DAYS_MAX):
        raise BadInput(
            f"{text!r} is not within the next {DAYS_MAX} days.", field="--expires", remedy=_REMEDY
        )
    return end
