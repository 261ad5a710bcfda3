"""Models by name on the command line: listed, fetched, and fetched again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from tests.support.model_hub import Hub, tiny_hub
from triptych.cli.command_line import app
from triptych.embedders.known_models import KNOWN_MODELS, KnownModel

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo the configuration of the log, which a command makes for its own process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Hub, KnownModel]]:
    with tiny_hub(tmp_path / "made") as (hub, model):
        monkeypatch.setitem(KNOWN_MODELS, model.name, model)
        for name, value in {
            "TRIPTYCH_DATA": str(tmp_path / "data"),
            "TRIPTYCH_EMBEDDER": model.name,
            "TRIPTYCH_MODELS_URL": hub.url,
            "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
            "COLUMNS": "200",
        }.items():
            monkeypatch.setenv(name, value)
        yield hub, model


def called(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words])


def test_models_are_listed_with_what_is_here(served: tuple[Hub, KnownModel]) -> None:
    _, model = served
    before = json.loads(called("--json").stdout)["items"]
    assert [each["name"] for each in before] == list(KNOWN_MODELS)
    assert {(each["local"], each["in_use"]) for each in before[:-1]} == {(False, False)}
    assert (before[-1]["local"], before[-1]["in_use"]) == (False, True)
    fetched = called("fetch", model.name)
    assert fetched.exit_code == 0
    assert "Fetching tiny-clip: onnx/vision_model.onnx (1 of 3" in fetched.stderr
    after = json.loads(called("list", "--json").stdout)["items"]
    assert after == [*before[:-1], {**before[-1], "local": True}]
    shown = called().stdout
    assert "tiny-clip (in use)" in shown
    assert "mobileclip-s2: read the licence first" in shown
    assert "Unproven in this release" in shown


def test_fetching_prints_the_path_as_json(served: tuple[Hub, KnownModel]) -> None:
    _, model = served
    found = json.loads(called("fetch", model.name, "--json").stdout)
    assert found["name"] == model.name
    assert Path(found["path"]).is_file()
    assert "is here, and every file" in called("fetch", model.name).stderr


def test_what_cannot_be_fetched_is_one_line(served: tuple[Hub, KnownModel]) -> None:
    hub, model = served
    hub.files.clear()
    failed = called("fetch", model.name)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "error: There is no http://" in failed.stderr
    unknown = called("fetch", "clip-vit-b23")
    assert unknown.exit_code == 1
    assert "clip-vit-b32" in unknown.stderr
