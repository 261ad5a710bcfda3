"""Logs with plain tracebacks: one with the variables of every frame takes a tenth of a CPU second.

That is what structlog shows where nothing is configured, as in tests of what logs exceptions.
"""

from __future__ import annotations

import structlog


def pytest_configure() -> None:
    """Use plain tracebacks in this process, and keep structlog's defaults otherwise."""
    *others, _ = structlog.get_config()["processors"]
    shown = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*others, shown])
