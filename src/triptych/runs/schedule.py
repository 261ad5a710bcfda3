"""Cron schedules, in UTC: five fields, minute to weekday."""

from __future__ import annotations

from datetime import datetime

from cronsim import CronSim, CronSimError

from triptych.errors import InvalidSchedule

SCHEDULE_MAX_CHARS = 100
FIELDS = 5
"""cronsim would take a sixth, of seconds: too often for a run."""


def next_due(schedule: str, after: datetime) -> datetime:
    """Return when ``schedule`` first comes due behind ``after``, which is in UTC.

    Raises:
        InvalidSchedule: it is no cron expression, or never comes due.
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
        raise _invalid("It never comes due.") from None


def _invalid(problem: str) -> InvalidSchedule:
    return InvalidSchedule(
        problem, field="schedule", remedy="Write five fields in UTC, such as `0 3 * * 1`."
    )
