"""The destination and the format of log lines."""

from __future__ import annotations

import logging
import sys

import structlog
import typer

from triptych.cli.terminal_text import printable
from triptych.shown_url import shown_text
from triptych.telemetry.log_urls import hide_in_libraries_lines, hide_in_urls

TRACES = ("exception", "stack")
"""Values of more than one line."""


def configure_logs(*, debug: bool, json: bool = False) -> None:
    """Send log lines to stderr: warnings and errors, or with ``debug`` everything.

    ``json``: as JSON, for a log that is kept; then also what happens while all is well.
    """
    level = logging.DEBUG if debug else logging.INFO if json else logging.WARNING
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=False)
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if debug or json:
        processors.append(structlog.processors.format_exc_info)
    else:
        processors.append(_without_trace)
    hide_in_libraries_lines()
    structlog.configure(
        processors=[*processors, hide_in_urls, *([] if json else [_printable]), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line is one write: several processes share the output, and each may be killed.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def say(line: str) -> None:
    """Show the user what a command waits for, apart from its output."""
    typer.echo(printable(shown_text(line), lines=True), err=True)


def _printable(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Replace control characters in a log entry; JSON escapes them."""
    for name, value in event.items():
        text = value if isinstance(value, str) else str(value)
        if not text.isprintable():
            event[name] = printable(text, lines=name in TRACES)
    return event


def _without_trace(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Keep a log entry on one line: ``--debug`` shows the trace."""
    event.pop("exc_info", None)
    return event
