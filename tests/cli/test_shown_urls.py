"""A list that is checked on this machine: what is printed has no credential of a URL in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from triptych.cli.command_line import app

LIST = """url,large,token
https://h.example/1.png?v=1&X-Amz-Signature=S3CR3T,https://h.example/1l.png?sig=S3CR3T,gold
https://me:S3CR3T@h.example/2.png,https://me:S3CR3T@h.example/2l.png,silver
https://bad host/?key=S3CR3T S3CR3T,,
"""
NO_HEADER = "https://h.example/1.png?v=1&sig=S3CR3T\nhttps://h.example/2.png?v=2&sig=S3CR3T\n"


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo the configuration of the log, which a command makes for its own process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.integration
@pytest.mark.parametrize("text", [LIST, NO_HEADER], ids=["header", "no header"])
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "JSON"])
def test_a_check_prints_no_credential(
    text: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    Path("list.csv").write_text(text)
    result = CliRunner().invoke(app, ["check", "list.csv", *more])
    assert result.exit_code == 0, result.output
    assert "S3CR3T" not in result.output
    assert "https://h.example/1.png?v=1&" in result.output
    if more and text is LIST:
        rows = json.loads(result.stdout)["first_rows"]
        assert rows[0]["url"] == "https://h.example/1.png?v=1&X-Amz-Signature=…"
        assert rows[0]["metadata"]["token"] == "gold", "a name is no credential"


def test_a_refused_address_is_told_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = "https://me:S3CR3T@127.0.0.1:1/list.csv?sig=S3CR3T"
    result = CliRunner().invoke(app, ["check", source])
    assert result.exit_code == 1
    assert "manifest:https://…@127.0.0.1:1/list.csv?…" in result.output
    assert "S3CR3T" not in result.output
