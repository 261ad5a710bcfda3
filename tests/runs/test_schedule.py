"""Cron schedules in words and times, in UTC, whatever clocks do elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from triptych.errors import InvalidSchedule
from triptych.runs.schedule import SCHEDULE_MAX_CHARS, UPCOMING, in_words, next_due, upcoming

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("0 3 * * *", "At 03:00 every day (UTC)"),
        ("0 3 * * 1", "At 03:00 on Monday (UTC)"),
        ("0 3 1 * *", "At 03:00 on the first day of every month (UTC)"),
        (
            "*/15 9-17 * * 1-5",
            "Every 15th minute from 09:00 through 17:59 on Monday through Friday (UTC)",
        ),
    ],
)
def test_a_schedule_is_said_in_words(schedule: str, words: str) -> None:
    assert in_words(schedule) == words


def test_the_next_times_begin_with_the_first() -> None:
    first = next_due("0 3 * * 1", datetime(2026, 1, 1, tzinfo=UTC))
    week = timedelta(days=7)
    assert first == datetime(2026, 1, 5, 3, tzinfo=UTC)
    assert upcoming("0 3 * * 1", first) == [first, first + week, first + 2 * week]
    assert len(upcoming("* * * * *", first)) == UPCOMING


def test_a_schedule_stays_at_its_hour_of_utc_when_clocks_elsewhere_change() -> None:
    # In Berlin clocks go from 02:00 to 03:00 on 29 March 2026, and back on 25 October.
    spring = upcoming("30 1 * * *", datetime(2026, 3, 28, 1, 30, tzinfo=UTC))
    assert [time.hour for time in spring] == [1, 1, 1]
    assert [time.astimezone(BERLIN).hour for time in spring] == [2, 3, 3]
    autumn = upcoming("30 0 * * *", datetime(2026, 10, 24, 0, 30, tzinfo=UTC))
    assert [time.astimezone(BERLIN).hour for time in autumn] == [2, 2, 1]
    day = timedelta(days=1)
    assert autumn == [autumn[0], autumn[0] + day, autumn[0] + 2 * day]


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("0 3 * *", "4 fields"),
        ("0 0 3 * * 1", "6 fields"),
        ("0 99 * * *", "Not a cron expression"),
        ("0 0 31 2 *", "Not a cron expression"),
        ("0 3 * * " + "1," * SCHEDULE_MAX_CHARS, "Longer than"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str, problem: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for ask in (in_words, lambda text: next_due(text, now), lambda text: upcoming(text, now)):
        with pytest.raises(InvalidSchedule, match=problem) as refused:
            ask(schedule)
        assert refused.value.field == "schedule"
