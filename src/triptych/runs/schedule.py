"""Cron schedules, in UTC: five fields, minute to weekday; and the same in words."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

from cronsim import CronSim, CronSimError

from triptych.errors import InvalidSchedule

SCHEDULE_MAX_CHARS = 100
FIELDS = 5
"""cronsim accepts a sixth field for seconds: too often for a run."""


UPCOMING = 3
"""Times of a schedule that are shown: enough to see its rhythm."""


def next_due(schedule: str, after: datetime) -> datetime:
    """Return when ``schedule`` is first due after ``after``, which is in UTC.

    Raises:
        InvalidSchedule: it is not a cron expression, or is never due.
    """
    try:
        return next(_times(schedule, after))
    except StopIteration:
        raise _invalid("It is never due.") from None


def upcoming(schedule: str, first: datetime) -> list[datetime]:
    """Return `UPCOMING` times at which ``schedule`` is due, from ``first``, which is one, in UTC.

    Fewer only if it is never due again within the years that cronsim looks at.

    Raises:
        InvalidSchedule: it is not a cron expression.
    """
    return [first, *islice(_times(schedule, first), UPCOMING - 1)]


def in_words(schedule: str) -> str:
    """Return a schedule as a sentence: ``At 03:00 on Monday (UTC)``.

    Raises:
        InvalidSchedule: it is not a cron expression.
    """
    return f"{_times(schedule, datetime.now(UTC)).explain()} (UTC)"


def _times(schedule: str, after: datetime) -> CronSim:
    if len(schedule) > SCHEDULE_MAX_CHARS:
        raise _invalid(f"Longer than {SCHEDULE_MAX_CHARS} characters.")
    if len(schedule.split()) != FIELDS:
        raise _invalid(f"It has {len(schedule.split())} fields.")
    try:
        return CronSim(schedule, after)
    except CronSimError as error:
        raise _invalid(f"Not a cron expression ({error}).") from error


def _invalid(problem: str) -> InvalidSchedule:
    return InvalidSchedule(
        problem, field="schedule", remedy="Write five fields in UTC, such as `0 3 * * 1`."
    )
