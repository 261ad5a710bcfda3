"""What is remembered of runs and hosts whose pictures were slow or cost decoders."""

from __future__ import annotations

import pytest

from triptych.media import slow_origins
from triptych.media.decoder_turns import Rank
from triptych.media.slow_origins import HOST_LOSSES, REMEMBERED_S, SLOW_S, SlowOrigins


class Remembering:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.origins = SlowOrigins(clock=lambda: self.now)

    def ranks(self, *places: tuple[str, str]) -> list[Rank]:
        return [self.origins.rank(*place) for place in places]


def test_the_first_lost_decoder_makes_its_run_wait_last_for_a_while() -> None:
    known = Remembering()
    known.origins.note_lost("run", "cdn")
    assert known.ranks(("run", "cdn"), ("run", ""), ("other", "cdn")) == [
        *[Rank.LAST] * 2,
        Rank.QUICK,
    ]
    known.now += REMEMBERED_S
    assert known.ranks(("run", "cdn")) == [Rank.QUICK]


def test_a_host_waits_last_once_it_has_cost_several_whichever_run_fetched_it() -> None:
    known = Remembering()
    for number in range(HOST_LOSSES):
        assert known.ranks(("next", "cdn")) == [Rank.QUICK]
        known.origins.note_lost(f"run {number}", "cdn")
    assert known.ranks(("next", "cdn"), ("next", "elsewhere")) == [Rank.LAST, Rank.QUICK]


def test_a_slow_picture_makes_its_run_slow_and_no_host() -> None:
    known = Remembering()
    known.origins.note_seconds("run", SLOW_S - 0.1)
    assert known.ranks(("run", "cdn")) == [Rank.QUICK]
    known.origins.note_seconds("run", SLOW_S)
    assert known.ranks(("run", "cdn"), ("next", "cdn")) == [Rank.SLOW, Rank.QUICK]
    known.now += REMEMBERED_S
    assert known.ranks(("run", "cdn")) == [Rank.QUICK]


def test_names_of_runs_and_hosts_do_not_mix() -> None:
    known = Remembering()
    known.origins.note_lost("same", "")
    assert known.ranks(("x", "same"), ("same", "x")) == [Rank.QUICK, Rank.LAST]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_origins, "ORIGINS_MAX", 10)
    known = Remembering()
    for number in range(100):
        known.origins.note_lost(f"run {number}", "")
        known.origins.note_seconds(f"run {number}", 9.0)
    assert len(known.origins._lost) == len(known.origins._slow) == 10
    assert known.ranks(("run 99", ""), ("run 0", "")) == [Rank.LAST, Rank.QUICK]
