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
