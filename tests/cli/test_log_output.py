"""The log: a line is one write, as several processes share the output and each may be killed."""

from __future__ import annotations

import io
import json
import sys

import pytest
import structlog

from triptych.cli.log_output import configure_logs


class Recorded(io.StringIO):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_line_is_written_at_once(monkeypatch: pytest.MonkeyPatch, *, json_lines: bool) -> None:
    output, before = Recorded(), structlog.get_config()
    monkeypatch.setattr(sys, "stderr", output)
    try:
        configure_logs(debug=False, json=json_lines)
        log = structlog.get_logger()
        log.warning("first", number=1)
        log.warning("second", text="a\nb")
    finally:
        structlog.configure(**before)
    lines = [text for text in output.writes if text]
    assert len(lines) == 2
    assert all(text.endswith("\n") for text in lines)
    if json_lines:
        assert [json.loads(text)["event"] for text in lines] == ["first", "second"]
