"""API keys on the command line: made with limits, listed with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.cli_process import Cli

pytestmark = pytest.mark.integration


async def test_keys_are_made_and_listed_with_their_limits(cli: Cli) -> None:
    made = (await cli("keys", "create", "ci", "--json")).json()
    ends = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=364) < ends <= timedelta(days=365)
    assert made["brands"] is None
    limits = ("--brand", "nike", "--brand", "café", "--expires", "never")
    told = await cli("keys", "create", "team", *limits)
    assert told.out.startswith("trk_")
    assert "Scope: reader, café, nike; never expires." in told.err
    await cli("keys", "create", "trial", "--expires", "7d")
    checks = (await cli("doctor", "--json")).json()
    (keys,) = [check["says"] for check in checks if check["what"] == "keys"]
    assert keys.startswith("3 that were not revoked; expiring soon: trial on 20")
    listed = (await cli("keys", "list")).out
    assert "team  reader  never expires  café, nike" in listed
    assert "ci  reader  expires 20" in listed
    await cli("keys", "revoke", "ci")
    by_name = {key["name"]: key for key in (await cli("keys", "list", "--json")).json()}
    assert by_name["team"]["brands"] == ["café", "nike"]
    assert by_name["ci"]["revoked_at"] is not None


async def test_limits_that_are_none_are_refused(cli: Cli) -> None:
    for given, told in (
        (("--expires", "soon"), "--expires: Not a time: 'soon'."),
        (("--expires", "0d"), "is not within the next"),
        (("--brand", "a/b"), "must not contain a slash"),
    ):
        refused = await cli("keys", "create", "ci", *given)
        assert refused.code == 1
        assert told in refused.err
    assert (await cli("keys", "list", "--json")).json() == []


async def test_a_token_that_was_made_elsewhere_is_taken_once_and_not_printed(cli: Cli) -> None:
    first = ("keys", "create", "first", "--scope", "operator", "--from-env", "FIRST_KEY")
    unset = await cli(*first)
    assert (unset.code, "FIRST_KEY is not set" in unset.err) == (1, True)
    cli.env["FIRST_KEY"] = "short"
    assert "at least 43" in (await cli(*first)).err
    cli.env["FIRST_KEY"] = token = "k" * 42 + "1"
    for _ in range(2):
        made = await cli(*first)
        assert made.code == 0, made.err
        assert token not in made.out + made.err
    assert len((await cli("keys", "list", "--json")).json()) == 1
    cli.env["FIRST_KEY"] = "l" * 43
    assert "There is, or was, a key" in (await cli(*first)).err
    await cli("keys", "revoke", "first")
    cli.env["FIRST_KEY"] = token
    assert (await cli(*first)).code == 1, "a revoked key does not come back"
