"""What large brands take on AWS: deadlines hold, and docs/scaling.md has the tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from infra.profiles import PROFILES
from scripts.paces import URLS_SECOND
from scripts.simulate import MILLION

from scripts import simulate
from triptych.runs.dispatch_window import DispatchWindow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
TASKS = PROFILES["prod"].tasks["acquire"][1]
FORMER_WINDOW = 500


def test_the_page_has_the_tables() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- simulation -->\n")[2].partition("\n<!-- end simulation -->")[0]
    assert shown == simulate.tables(), "run `python -m scripts.simulate`"


def test_a_brand_of_10_million_urls_ends_within_its_deadline() -> None:
    acquired = simulate.acquire(10 * MILLION)
    committed = simulate.commit_s(10 * MILLION)
    assert acquired.tasks == TASKS
    assert acquired.seconds + committed < simulate.setting("run_deadline_s")


def test_it_would_not_with_a_window_that_starts_no_second_task() -> None:
    fixed = DispatchWindow(FORMER_WINDOW, FORMER_WINDOW)
    acquired = simulate.acquire(10 * MILLION, window=fixed)
    assert acquired.tasks == 2, "500 messages before one task, at a target of 400"
    assert acquired.seconds > simulate.setting("run_deadline_s")


@pytest.mark.parametrize("part", ["the commit", "all URLs acquired"])
@pytest.mark.parametrize("urls", simulate.SIZES_SHOWN)
def test_what_ends_a_run_holds_at_every_size(urls: int, part: str) -> None:
    (found,) = [each for each in simulate.one_brand(urls) if each.name == part]
    assert found.holds, found


def test_the_collector_reads_all_assets_in_time() -> None:
    for urls in simulate.SIZES_SHOWN:
        (found,) = [each for each in simulate.one_brand(urls) if "collector" in each.name]
        assert found.holds, found


def test_a_brand_alone_never_runs_faster_than_its_tasks() -> None:
    acquired = simulate.acquire(MILLION)
    assert MILLION / (TASKS * URLS_SECOND) < acquired.seconds < MILLION / URLS_SECOND


def test_brands_at_once_take_as_long_as_one_of_their_size() -> None:
    together = simulate.acquire(MILLION, brands=10)
    alone = simulate.acquire(10 * MILLION)
    assert together.seconds <= alone.seconds


def test_5000_dashboards_are_served_and_their_servers_have_time() -> None:
    tasks, _ = simulate.live_tasks(5_000)
    assert tasks <= PROFILES["prod"].tasks["live"][1]
    assert tasks * simulate.setting("live_clients") >= 5_000
    assert simulate.live_cores(5_000) < tasks * 0.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.41, "0.41 s"), (41, "41 s"), (900, "15 min"), (86_400, "24 h"), (864_000, "10 days")],
)
def test_durations_are_said_as_a_person_says_them(seconds: float, text: str) -> None:
    assert simulate.shown(seconds) == text


def test_a_measurement_that_is_not_there_is_named() -> None:
    with pytest.raises(LookupError, match="row 99 of 'x'"):
        simulate.measured(99, "x")
