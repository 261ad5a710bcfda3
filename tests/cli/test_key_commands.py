"""API keys on the command line: made with limits, listed with them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.commands import DatabaseCommands, log_apart

pytestmark = pytest.mark.integration


@pytest.fixture
def cli(migrated_dsn: str, tmp_path: Path) -> DatabaseCommands:
    return DatabaseCommands(migrated_dsn, tmp_path / "data")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def test_keys_are_made_and_listed_with_their_limits(cli: DatabaseCommands) -> None:
    made = cli("keys", "create", "ci", "--json").json()
    ends = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=364) < ends <= timedelta(days=365)
    assert made["brands"] is None
    limits = ("--brand", "nike", "--brand", "café", "--expires", "never")
    told = cli("keys", "create", "team", *limits)
    assert told.out.startswith("trk_")
    assert "Scope: reader, café, nike; never expires." in told.err
    cli("keys", "create", "trial", "--expires", "7d")
    checks = cli("doctor", "--json").json()
    (keys,) = [check["says"] for check in checks if check["what"] == "keys"]
    assert keys.startswith("3 that were not revoked; expiring soon: trial on 20")
    listed = cli("keys", "list").out
    assert "team  reader  never expires  café, nike" in listed
    assert "ci  reader  expires 20" in listed
    cli("keys", "revoke", "ci")
    by_name = {key["name"]: key for key in cli("keys", "list", "--json").json()}
    assert by_name["team"]["brands"] == ["café", "nike"]
    assert by_name["ci"]["revoked_at"] is not None


def test_limits_that_are_none_are_refused(cli: DatabaseCommands) -> None:
    for given, told in (
        (("--expires", "soon"), "--expires: Not a time: 'soon'."),
        (("--expires", "0d"), "is not within the next"),
        (("--brand", "a/b"), "must not contain a slash"),
    ):
        refused = cli("keys", "create", "ci", *given)
        assert refused.code == 1
        assert told in refused.err
    assert cli("keys", "list", "--json").json() == []


def test_a_token_that_was_made_elsewhere_is_taken_once_and_not_printed(
    cli: DatabaseCommands,
) -> None:
    first = ("keys", "create", "first", "--scope", "operator", "--from-env", "FIRST_KEY")
    unset = cli(*first)
    assert (unset.code, "FIRST_KEY is not set" in unset.err) == (1, True)
    cli.env["FIRST_KEY"] = "short"
    assert "at least 43" in cli(*first).err
    cli.env["FIRST_KEY"] = token = "k" * 42 + "1"
    for _ in range(2):
        made = cli(*first)
        assert made.code == 0, made.err
        assert token not in made.out + made.err
    assert len(cli("keys", "list", "--json").json()) == 1
    cli.env["FIRST_KEY"] = "l" * 43
    assert "There is, or was, a key" in cli(*first).err
    cli("keys", "revoke", "first")
    cli.env["FIRST_KEY"] = token
    assert cli(*first).code == 1, "a revoked key does not come back"
