"""URLs in log lines: without userinfo and query, whoever wrote the line."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

from typing_extensions import override

from triptych.shown_url import shown_text

DEPTH_MAX = 5
"""Levels of a value that are looked at; deeper ones are shown as text."""


def hide_in_urls(
    _logger: object, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Show every URL of an entry as `shown_text` does; a processor of structlog's.

    It belongs behind those that add text, such as tracebacks, and before the renderer.
    """
    for name, value in event.items():
        event[name] = _shown(value, DEPTH_MAX)
    return event


def _shown(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return shown_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, Mapping):
        return {name: _shown(each, depth - 1) for name, each in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_shown(each, depth - 1) for each in value]
    text = str(value)
    shown = shown_text(text)
    return value if shown == text else shown


class ShownLines(logging.Formatter):
    """Lines of Python's own logging, which libraries use, with every URL as `shown_text` does."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return shown_text(super().format(record))


def hide_in_libraries_lines() -> None:
    """Hide the same in what libraries log: warnings and errors, which Python prints to stderr."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(ShownLines())
