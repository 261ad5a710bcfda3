"""Immediate reads on the command line, without MongoDB: Postgres answers them."""

from __future__ import annotations

import pytest

from tests.support.cli_process import Cli

pytestmark = pytest.mark.integration


async def test_without_mongodb_status_says_that_postgres_answers(cli: Cli) -> None:
    told = await cli("reads", "status")
    assert (told.code, told.out) == (
        0,
        "Postgres answers immediate reads: TRIPTYCH_READS_URL is not set.\n",
    )
    assert (await cli("reads", "status", "--json")).json() == {"database": None, "items": []}
    (reads,) = [
        check for check in (await cli("doctor", "--json")).json() if check["what"] == "reads"
    ]
    assert reads == {"what": "reads", "ok": True, "warns": False, "says": "Postgres"}


async def test_without_mongodb_there_is_nothing_to_rebuild(cli: Cli) -> None:
    refused = await cli("reads", "rebuild", "--all")
    assert refused.code == 2
    (only,) = refused.err.splitlines()
    assert only.startswith("error: TRIPTYCH_READS_URL: It is not set")


async def test_a_rebuild_is_of_one_brand_or_of_all(cli: Cli) -> None:
    for given in ((), ("nike", "--all")):
        refused = await cli("reads", "rebuild", *given)
        assert refused.code == 1
        assert "BRAND: Name a brand, or all. Or --all." in refused.err
    named = await cli("reads", "status", "a/b")
    assert (named.code, "must not contain a slash" in named.err) == (1, True)
