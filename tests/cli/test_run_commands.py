"""Listing runs on the command line, and what it says of one that is stalled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_process import Cli

pytestmark = pytest.mark.integration


async def test_runs_are_listed_and_a_stalled_one_says_that_no_worker_is_there(
    cli: Cli, tmp_path: Path
) -> None:
    source = tmp_path / "urls.csv"
    source.write_text("brand,url\nnike,https://x.example/1.png\n")
    opened = (await cli("submit", "nike", "--source", str(source), "--json")).json()
    assert (await cli("runs", "--stalled", "--json")).json() == {"items": []}
    (run,) = (await cli("runs", "--state", "active", "--json")).json()["items"]
    assert (run["id"], run["stalled"]) == (opened["id"], False)

    cli.env["TRIPTYCH_STALLED_S"] = "0.001"
    (stalled,) = (await cli("runs", "--stalled", "--brand", "nike", "--json")).json()["items"]
    assert (stalled["id"], stalled["stalled"], stalled["state"]) == (opened["id"], True, "active")
    assert opened["id"] in (await cli("runs", "--stalled")).out.replace("\n", "")
    shown = await cli("status", "nike")
    assert "stalled nothing has moved since" in shown.out
    assert "no worker of the phase gather has been seen in the last hour" in shown.out
    assert "triptych worker" in shown.out
    assert "1 stalled" in (await cli("doctor")).out

    await cli("pause", "nike")
    assert (await cli("runs", "--stalled")).out.strip() == "No run is stalled."
    refused = await cli("runs", "--state", "stalled")
    assert refused.code == 1
    assert "There is no state 'stalled'." in refused.err
