"""What every command shares: its options, its settings, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from triptych.gather.source_registry import source_schemes

if TYPE_CHECKING:
    # Imported when a command runs: `--help` has to be quick.
    import structlog

    from triptych.settings.settings import Settings

T = TypeVar("T")

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of everything embedded [./.triptych].")
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server", help="Ask this server instead, its API key in TRIPTYCH_SERVER_KEY [none]."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show traces and every log line.")]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        # Of the installed sources by their names alone: importing them takes long for a `--help`.
        help=f"Where URLs come from: {' or '.join(f'{s}:PLACE' for s in source_schemes())}.",
    ),
]
BrandArgument = Annotated[str, typer.Argument(metavar="BRAND", help="The brand's name.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or a brand for its newest run.")
]


def configure_logs(*, debug: bool, json: bool = False) -> None:
    """Send log lines to stderr: warnings and worse, or everything."""
    import structlog

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


def _without_trace(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Keep a log line one line: ``--debug`` shows the trace."""
    event.pop("exc_info", None)
    return event


def execute(
    work: Callable[[Settings], Coroutine[Any, Any, T]],
    *,
    debug: bool,
    json: bool = False,
    **overrides: Any,
) -> T:
    """Run a command: load the settings, run ``work`` on a fast loop, end errors in one line.

    Raises:
        typer.Exit: with 1 after an error of ours, 2 after a wrong setting, 130 after Ctrl-C.
    """
    from triptych.errors import SettingsError, TriptychError
    from triptych.settings.settings import Settings

    configure_logs(debug=debug, json=json)
    try:
        settings = Settings.load(**overrides)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work(settings))
    except TriptychError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILED) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(EXIT_INTERRUPTED) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    import uvloop

    return uvloop.new_event_loop
