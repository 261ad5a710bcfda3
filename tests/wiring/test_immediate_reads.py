"""What answers immediate reads is built from the settings."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from triptych.errors import ReadsUnavailable, SettingsError
from triptych.reads.projection import Lowers
from triptych.settings.settings import Settings
from triptych.wiring import immediate_reads
from triptych.wiring.immediate_reads import TARGET_KEPT_S, Target, open_projection


async def test_without_a_url_there_is_no_projection() -> None:
    async with open_projection(Settings.load()) as opened:
        assert opened is None


async def test_a_driver_that_is_missing_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(immediate_reads, "DRIVER", "no_such_driver")
    settings = Settings.load(reads_url="mongodb://me:s3cret@db.example/triptych")
    with pytest.raises(SettingsError) as error:
        async with open_projection(settings):
            pass
    assert error.value.field == "TRIPTYCH_READS_URL"
    assert "pip install 'triptych[mongodb]'" in str(error.value)
    assert "s3cret" not in str(error.value)


class Database:
    """Says its id, or does not."""

    def __init__(self) -> None:
        self.id = uuid4()
        self.away = False
        self.opened = 0

    async def lowers(self) -> Lowers:
        return "unicode"

    async def open(self, lowers: Lowers) -> UUID:
        self.opened += 1
        if self.away:
            raise ReadsUnavailable
        return self.id


async def test_the_id_of_a_database_is_asked_seldom_and_kept_while_it_is_away() -> None:
    now = 100.0
    database = Database()
    both = cast("Any", database)
    target = Target(both, both, clock=lambda: now)
    database.away = True
    with pytest.raises(ReadsUnavailable):
        await target()
    database.away = False
    first = database.id
    assert [await target() for _ in range(5)] == [first] * 5
    assert database.opened == 2
    database.away = True
    now += TARGET_KEPT_S
    assert await target() == first
    database.away, database.id = False, uuid4()
    now += TARGET_KEPT_S
    assert await target() == database.id != first
