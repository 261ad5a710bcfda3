"""The destination and the format of log lines."""

from __future__ import annotations

import logging
import sys

import structlog
import typer


def configure_logs(*, debug: bool, json: bool = False) -> None:
    """Send log lines to stderr: warnings and errors, or with ``debug`` everything."""
    level = logging.DEBUG if debug else logging.WARNING
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
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def say(line: str) -> None:
    """Show the user what a command waits for, apart from its output."""
    typer.echo(line, err=True)


def _without_trace(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Keep a log entry on one line: ``--debug`` shows the trace."""
    event.pop("exc_info", None)
    return event
