"""What Postgres raises when it is away is one error of ours; defects stay what they are."""

from __future__ import annotations

import asyncpg
import pytest

from triptych.database.session import no_nul, translated
from triptych.database.statements import statements
from triptych.errors import DatabaseUnavailable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.CrashShutdownError("crashed"),
        asyncpg.DiskFullError("No space left on device"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
    ],
)
def test_an_outage_is_one_clear_line(error: Exception) -> None:
    with pytest.raises(DatabaseUnavailable) as told, translated():
        raise error
    assert "\n" not in str(told.value)
    assert "TRIPTYCH_DATABASE_URL" in str(told.value)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedTableError("no such table"),
        asyncpg.CheckViolationError("check"),
        asyncpg.InterfaceError("another operation is in progress"),
        ValueError("ours"),
    ],
)
def test_a_defect_is_no_outage(error: Exception) -> None:
    with pytest.raises(type(error)), translated():
        raise error


def test_texts_are_made_fit_for_postgres() -> None:
    assert no_nul(["a\x00b", None, "x" * 9], 5) == ["a\ufffdb", None, "xxxxx"]


def test_every_statement_has_a_name_and_a_text() -> None:
    found = statements()
    assert {"settle_items", "count_settled", "publish_assets"} <= found.keys()
    assert all(found.values())
