"""`--source` takes a bare path or URL, here and with `--server`, and says what was assumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_process import Cli, Result
from tests.support.commands import Commands, log_apart
from tests.support.picture_server import write_manifest
from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("source-option")]

PICTURES = 3
HOST_RATE = 20
"""Requests a second of the server's worker, so that a long list lasts until it is replaced."""


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApi]:
    data = tmp_path_factory.mktemp("served")
    with served_api(postgres_server, migrated_template, data, host_rate=HOST_RATE) as served:
        yield served


@pytest.fixture
def commands(served: ServedApi) -> Commands:
    return Commands(served.url)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def test_a_bare_path_is_a_list_here_and_from_afar(
    cli: Cli,
    served: ServedApi,
    commands: Commands,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # As `cli` does.
    listed = write_manifest(tmp_path, served.pictures, "nike", PICTURES)
    bare = ("nike", "--source", "nike.csv", "--json")
    here, afar = served.call(cli("run", *bare)), commands("submit", "--watch", *bare)
    there = Result(afar.exit_code, afar.stdout, afar.stderr)
    for result in (here, there):
        last = json.loads(result.out.splitlines()[-1])
        assert (result.code, last["state"], last["source"]) == (0, "committed", listed)
        assert f"Taken for a list: {listed}." in result.err


def test_a_run_of_another_source_is_named_and_replaced(
    served: ServedApi, commands: Commands, tmp_path: Path
) -> None:
    paused = write_manifest(tmp_path, served.pictures, "slow", 30 * HOST_RATE)
    wanted = write_manifest(tmp_path, served.pictures, "adidas", PICTURES)
    first = commands.json("submit", "adidas", "--source", paused)
    assert commands("pause", "adidas").exit_code == 0
    refused = commands("submit", "adidas", "--source", wanted, "--watch")
    assert refused.exit_code == 1
    assert f"has an active run ({first['id']}) of another source: {paused}." in refused.stderr
    assert "--replace" in refused.stderr
    assert "triptych cancel adidas" in refused.stderr
    joined = commands("submit", "adidas", "--json")
    assert json.loads(joined.stdout)["id"] == first["id"]
    assert f"adidas has an active run already of {paused}" in joined.stderr
    last = commands.followed("submit", "adidas", "--source", wanted, "--replace", "--watch")
    assert (last["state"], last["source"]) == ("committed", wanted)
    assert commands.json("status", first["id"])["state"] == "cancelled"


def test_a_source_of_which_nothing_is_read_is_not_kept(
    served: ServedApi, commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = write_manifest(tmp_path, served.pictures, "puma", PICTURES)
    assert commands("submit", "puma", "--source", good, "--watch").exit_code == 0
    refused = commands("submit", "puma", "--source", "nowhere.csv", "--watch")
    assert (refused.exit_code, "There is no file nowhere.csv" in refused.stdout) == (1, True)
    assert commands.followed("submit", "puma", "--watch")["source"] == good


def test_what_is_no_source_has_the_same_words_here_and_from_afar(
    cli: Cli, served: ServedApi, commands: Commands
) -> None:
    def refused(source: str) -> list[tuple[int, str]]:
        here = served.call(cli("run", "nike", "--source", source))
        afar = commands("submit", "nike", "--source", source)
        return [(here.code, here.err), (afar.exit_code, afar.stderr)]

    for code, err in refused("urls"):
        assert code == 2
        (only,) = err.splitlines()
        assert only.startswith("error: --source: 'urls' must be written SCHEME:PLACE")
        assert only.endswith(", shopify:SHOP, sitemap:URL or upload:ID.")
    for _, err in refused("ftp:x"):
        assert (
            "schemes are bucket, catalog, feed, folder, manifest, page, shopify, sitemap, upload."
            in err
        )
