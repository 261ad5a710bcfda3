"""The commands that operate a server, in this process, against one server for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Commands, log_apart
from tests.support.picture_server import write_manifest
from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("commands-on-a-server")]

HOST_RATE = 40.0
"""Requests a second, so that a long list lasts until its run is steered."""


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApi]:
    data = tmp_path_factory.mktemp("served")
    with served_api(postgres_server, migrated_template, data, host_rate=HOST_RATE) as served:
        yield served


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


@pytest.fixture
def commands(served: ServedApi) -> Commands:
    return Commands(served.url)


@pytest.fixture(scope="module")
def feed(served: ServedApi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of three pictures and one that is not there."""
    path = tmp_path_factory.mktemp("feed") / "feed.csv"
    rows = [f"{served.pictures}/x/{n}.png,S{n}" for n in (1, 2, 3, 49)]
    path.write_text("\n".join(["url,sku", *rows]))
    return path


def test_a_list_is_uploaded_and_is_a_source(
    served: ServedApi, commands: Commands, feed: Path
) -> None:
    made = commands.json("upload", str(feed))
    assert (made["name"], made["source"]) == ("feed.csv", f"upload:{made['id']}")
    plain = commands("upload", str(feed), "--name", "again.csv")
    assert plain.stdout.startswith("upload:")
    assert "Uploaded again.csv" in plain.stderr
    assert commands.json("check", made["source"])["items"] == 4
    assert [each["name"] for each in commands.json("uploads", "list")["items"]] == [
        "again.csv",
        "feed.csv",
    ]
    assert commands.json("uploads", "show", made["id"])["size_bytes"] == feed.stat().st_size
    assert commands("uploads", "delete", made["id"]).exit_code == 0
    gone = commands("uploads", "delete", made["id"])
    assert (gone.exit_code, "There is no upload" in gone.output) == (1, True)
    missing = commands("upload", "/nowhere.csv")
    assert missing.output == (
        "error: FILE: /nowhere.csv cannot be read (No such file or directory).\n"
    )
    both = commands("submit", "nike", "--upload", str(feed), "--source", "manifest:x.csv")
    assert "--upload: There is another source, too" in both.output


def test_a_brand_is_brought_followed_and_looked_at(commands: Commands, feed: Path) -> None:
    run = commands("submit", "nike", "--upload", str(feed), "--key", "sku", "--watch")
    assert run.exit_code == 0, run.output
    assert "3 added" in run.output
    found = commands.json("items", "nike")
    assert (found["counts"]["done"], found["counts"]["failed"]) == (3, 1)
    (failed,) = commands.json("items", "nike", "--state", "failed")["items"]
    assert failed["reason"] == "not_found"
    shown = commands("items", "nike", "--url", "49.png").output
    assert f"{failed['key']}  failed" in shown
    assert "3 done · 1 failed" in shown
    unknown = commands("items", "nike", "--state", "lost")
    assert "--state: There is no state 'lost'. Name one of pending" in unknown.output
    retried = commands.json("retry", "nike", failed["key"])["items"][0]
    assert retried["result"]["retried"] == 1
    refused = commands("skip", str(retried["run"]), "00" * 16)
    assert refused.output
    kinds = [entry["kind"] for entry in commands.json("history", "nike")["items"]]
    assert {"opened", "committed", "action"} <= set(kinds)
    assert "run committed" in commands("history", "nike").output
    events = commands.json("timeline", found_run(commands))["items"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    shapes = commands.json("facets", "nike", "--by", "shape")["facets"][0]["counts"]
    assert [(each["value"], each["count"]) for each in shapes] == [("square", 3)]
    (asset, *_) = commands.json("assets", "nike")["items"]
    to = feed.parent / "picture.png"
    whole = commands("asset", asset["id"], "--to", str(to))
    assert asset["url"] in whole.output
    assert to.stat().st_size == asset["size_bytes"]


def found_run(commands: Commands) -> str:
    return str(commands.json("runs", "--brand", "nike", "--kind", "full")["items"][0]["id"])


def test_runs_are_filtered_and_many_are_steered_with_an_outcome_each(commands: Commands) -> None:
    for brand in ("adidas", "puma"):
        submitted = commands("submit", brand, "https://x.example/1.png", "https://x.example/2.png")
        assert submitted.exit_code == 0, submitted.output
    result = commands("cancel", "adidas", "puma", "nobody", "--json")
    outcomes = json.loads(result.stdout)
    assert (result.exit_code, outcomes["done"] + outcomes["refused"]) == (1, 3)
    reasons = {each["brand"]: each["reason"] for each in outcomes["items"]}
    assert reasons["nobody"] == "brand-not-found"
    shown = commands("resume", "adidas", "puma").output
    assert "0 done, 2 refused" in shown
    assert "✗ adidas:" in shown
    some = commands.json("runs", "--state", "committed", "--state", "held", "--since", "2020-01-01")
    assert {run["state"] for run in some["items"]} <= {"committed", "held"}
    assert commands.json("runs", "--until", "2020-01-01") == {"items": []}
    wrong = commands("runs", "--kind", "odd")
    assert "--kind: There is no kind 'odd'. Name one of full" in wrong.output
    several = commands("redrive", "adidas", "puma", "--reason", "timeout")
    assert "--reason: Reasons are chosen for one run at a time." in several.output


def test_phases_and_hosts_are_paused_limited_and_let_go(commands: Commands) -> None:
    def phase() -> Any:
        return next(p for p in commands.json("phases", "list")["items"] if p["phase"] == "ai")

    assert commands("phases", "limit", "ai", "3").exit_code == 0
    assert "paused since" in commands("phases", "pause", "ai").output
    assert (phase()["paused"], phase()["concurrency"]) == (True, 3), "one does not undo the other"
    assert commands("phases", "resume", "ai").exit_code == 0
    assert commands("phases", "limit", "ai", "--off").exit_code == 0
    assert (phase()["paused"], phase()["concurrency"]) == (False, None)
    assert "PHASE: There is no phase 'paint'" in commands("phases", "pause", "paint").output

    def host() -> Any:
        hosts = {each["host"]: each for each in commands.json("hosts", "list")["items"]}
        return hosts.get("x.example")

    assert commands("hosts", "pause", "x.example").exit_code == 0
    assert commands("hosts", "limit", "X.example", "--per-second", "2").exit_code == 0
    assert (host()["paused"], host()["per_second"]) == (True, 2.0)
    assert commands("hosts", "resume", "x.example").exit_code == 0
    assert (host()["paused"], host()["per_second"]) == (False, 2.0)
    assert commands("hosts", "reset", "x.example").exit_code == 0
    assert host() is None
    assert commands("hosts", "reset", "x.example").exit_code == 1


def test_schedules_tasks_audit_webhooks_and_who_asks(commands: Commands) -> None:
    preview = commands("schedule", "nike", "0 3 * * 1", "--preview").output
    assert "Monday" in preview
    assert preview.count("next") == 3
    kept = commands.json("schedule", "reebok", "0 3 * * 1", "--source", "manifest:https://x/a.csv")
    assert kept["source"] == "manifest:https://x/a.csv"
    again = commands.json("schedule", "reebok", "0 4 * * 1")
    assert (again["source"], again["schedule"]) == (kept["source"], "0 4 * * 1")
    assert len(again["next_runs"]) == 3
    off = commands.json("schedule", "reebok", "--off")
    assert (off["source"], off["schedule"]) == (kept["source"], None)
    task = commands.json("tasks", "--limit", "1")["items"][0]
    assert (task["kind"], task["brand"]) == ("put_brand", "reebok")
    assert commands.json("tasks", task["id"])["items"][0]["id"] == task["id"]
    assert commands.json("audit", "--limit", "1")["items"][0]["action"] == "put_brand"
    url = "https://hooks.example/x?secret=1"
    made = commands.json("webhooks", "create", url, "--event", "run.held")
    assert made["secret"].startswith("whsec_")
    (hook,) = commands.json("webhooks", "list")["items"]
    assert (hook["id"], hook["events"]) == (made["id"], ["run.held"])
    assert commands.json("webhooks", "deliveries", hook["id"]) == {"items": []}
    assert commands("webhooks", "delete", hook["id"]).exit_code == 0
    assert commands("webhooks", "delete", hook["id"]).exit_code == 1
    assert (
        "--event: There is no event 'odd'"
        in commands("webhooks", "create", url, "--event", "odd").output
    )
    assert commands.json("me")["scope"] == "operator"
    assert commands.json("workers")["items"][0]["phases"] == ["gather", "acquire", "ai"]
    assert "manifest:" in commands("sources").output


def test_deleting_a_brand_needs_a_yes(commands: Commands) -> None:
    assert commands("schedule", "asics", "--source", "manifest:https://x/a.csv").exit_code == 0
    refused = commands("delete", "asics")
    assert (refused.exit_code, refused.output) == (
        1,
        "error: --yes: Nobody can be asked. Give --yes.\n",
    )
    assert commands("delete", "asics", "--yes").output == "Deleted asics.\n"
    assert commands("schedule", "asics").exit_code == 1


def test_an_empty_list_empties_no_brand(
    served: ServedApi, commands: Commands, tmp_path: Path
) -> None:
    path = tmp_path / "few.csv"
    rows = "".join(f"{served.pictures}/few/{n}.png\n" for n in range(4))
    path.write_text(f"url\n{rows}")
    brought = commands.followed("submit", "few", "--source", str(path), "--watch")
    assert brought["state"] == "committed"
    path.write_text("url\n")
    held = commands("submit", "few", "--watch")
    assert held.exit_code == 1
    assert "it would remove 4 of 4 assets (100%); nothing would remain" in held.stdout
    assert "triptych publish" in held.stdout
    (status,) = [one for one in commands.json("status")["brands"] if one["name"] == "few"]
    assert (status["assets"], status["state"]) == (4, "held")
    discarded = commands.json("discard", "few")
    assert (discarded["state"], discarded["removed"]) == ("cancelled", None)
    path.write_text(f"url\n{served.pictures}/few/1.png\n")
    assert commands("submit", "few", "--watch").exit_code == 1
    published = commands.json("publish", "few")
    assert (published["state"], published["kept"], published["removed"]) == ("committed", 1, 3)
    again = commands("publish", "few")
    assert (again.exit_code, "is committed, not held" in again.output) == (1, True)


def test_pause_resume_cancel_and_redrive(
    served: ServedApi, commands: Commands, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, served.pictures, "long", 400)
    submitted = commands.json("submit", "long", "--source", source)
    again = commands.json("submit", "long")
    assert again["id"] == submitted["id"], "an active run answers for its brand"
    assert commands.json("pause", "long")["paused"] is True
    assert commands.json("resume", submitted["id"])["paused"] is False
    assert commands.json("cancel", "long")["state"] == "cancelled"
    refused = commands("redrive", "long")
    assert refused.exit_code == 1
    assert "was cancelled" in refused.output
