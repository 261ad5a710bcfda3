"""Cron schedules, in UTC: five fields, minute to weekday."""

from __future__ import annotations

from datetime import datetime

from cronsim import CronSim, CronSimError

from triptych.errors import InvalidSchedule

SCHEDULE_MAX_CHARS = 100
FIELDS = 5
"""cronsim accepts a sixth field for seconds: too often for a run."""


def next_due(schedule: str, after: datetime) -> datetime:
    """Return when ``schedule`` is first due after ``after``, which is in UTC.

    Raises:
        InvalidSchedule: it is not a cron expression, or is never due.
    """
    if len(schedule) > SCHEDULE_MAX_CHARS:
        raise _invalid(f"Longer than {SCHEDULE_MAX_CHARS} characters.")
    if len(schedule.split()) != FIELDS:
        raise _invalid(f"It has {len(schedule.split())} fields.")
    try:
        return next(CronSim(schedule, after))
    except CronSimError as error:
        raise _invalid(f"Not a cron expression ({error}).") from error
    except StopIteration:
        raise _invalid("It is never due.") from None


def _invalid(problem: str) -> InvalidSchedule:
    return InvalidSchedule(
        problem, field="schedule", remedy="Write five fields in UTC, such as `0 3 * * 1`."
    )
