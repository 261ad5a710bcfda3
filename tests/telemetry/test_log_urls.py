"""Log lines: no query and no userinfo of any URL, wherever in a line it is."""

from __future__ import annotations

import logging

import pytest
import structlog
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from yarl import URL

from triptych.telemetry.log_urls import hide_in_libraries_lines, hide_in_urls
from triptych.telemetry.tracing import span, tracing

URL_TEXT = "https://user:S3CR3T@h.example/a?sig=S3CR3T"


def test_every_value_is_looked_at() -> None:
    error = ValueError(f"cannot read {URL_TEXT}")
    entry = hide_in_urls(
        None,
        "",
        {
            "event": f"asked {URL_TEXT}",
            "url": URL(URL_TEXT),
            "error": error,
            "urls": [URL_TEXT, {"a": (URL_TEXT,)}],
            "count": 3,
            "nothing": None,
            "bytes": b"x",
        },
    )
    assert "S3CR3T" not in str(entry)
    assert str(entry["url"]) == "https://…@h.example/a?…"
    assert (entry["count"], entry["nothing"], entry["bytes"]) == (3, None, b"x")


@pytest.mark.parametrize("json", [True, False])
def test_the_log_of_the_commands_has_none(json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    from triptych.cli.log_output import configure_logs

    before = structlog.get_config()
    try:
        configure_logs(debug=True, json=json)
        log = structlog.get_logger()
        try:
            raise ValueError(URL_TEXT)
        except ValueError as error:
            log.exception(
                "failed", url=URL_TEXT, error=str(error), text="a\x1b[31m\x9b31mred\u202e"
            )
    finally:
        structlog.configure(**before)
    line = capsys.readouterr().err
    assert "https://…@h.example/a?…" in line or "https://\\u2026@h.example/a?\\u2026" in line
    assert not {"S3CR3T"} & set(line.split("/"))
    assert "S3CR3T" not in line
    assert "ValueError" in line
    assert not set("\x1b\x9b\u202e") & set(line)


def test_what_libraries_log_has_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_in_libraries_lines()
    handler = logging.lastResort
    assert handler is not None
    record = logging.LogRecord("lib", logging.WARNING, "", 1, "lost %s", (URL_TEXT,), None)
    handler.handle(record)
    assert capsys.readouterr().err == "lost https://…@h.example/a?…\n"


def test_traces_have_none() -> None:
    exporter = InMemorySpanExporter()
    cause = ValueError(URL_TEXT)
    with (
        tracing(None, role="test", exporter=exporter),
        pytest.raises(RuntimeError),
        span("work"),
    ):
        raise RuntimeError(f"lost {URL_TEXT}") from cause
    (recorded,) = exporter.get_finished_spans()
    (event,) = recorded.events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "lost https://…@h.example/a?…"
    assert event.attributes["exception.type"] == "RuntimeError"
    assert "ValueError" in str(event.attributes["exception.stacktrace"])
    assert not recorded.status.is_ok
    assert "S3CR3T" not in recorded.to_json()
