"""One invocation of a command: its options, its settings, its client and its exit code."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import typer

from triptych.cli.options import DataOption, DebugOption, JsonOption, ServerOption

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.client import Client
    from triptych.settings.settings import Settings

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_SIGNAL = 128
"""Added to a signal's number, as shells do."""
ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command as Ctrl-C does: what it started, such as Postgres, ends with it."""

SERVER = {"server": (ServerOption, None)}
EVERYWHERE = {
    "data": (DataOption, None),
    "json": (JsonOption, False),
    "debug": (DebugOption, False),
}
"""The options that every command has, with their types and defaults."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What every command receives: the common options, and what depends on them."""

    data: Path | None
    json: bool
    debug: bool
    server: str | None = None

    def settings(self, **overrides: Any) -> Settings:
        """Load the settings; ``overrides`` are the command's own options, None if not given.

        Raises:
            SettingsError: a setting is not valid.
        """
        from triptych.settings.settings import Settings

        return Settings.load(data=self.data, server=self.server, **overrides)

    @asynccontextmanager
    async def open_client(
        self, *, caught_up: bool = False, stand_in: Sequence[str] = ()
    ) -> AsyncIterator[Client]:
        """Open a client of the server that the settings name, or of a private one in this process.

        ``caught_up`` and ``stand_in`` are for the private server only, see
        `triptych.wiring.private_server.open_private_server`. A server's workers do both.

        Raises:
            SettingsError: the server's address is not valid.
            DatabaseUnavailable: no server is named, and the database is unavailable.
        """
        from triptych.client import open_client, open_socket_client

        settings = self.settings()
        if settings.server is not None:
            key = settings.server_key.get_secret_value() if settings.server_key else None
            async with open_client(settings.server, key) as client:
                yield client
            return
        # Imported here because commands that use a server do not need it.
        with collecting_nothing():
            from triptych.cli.log_output import say
            from triptych.messages import Phase
            from triptych.wiring.private_server import open_private_server

        async with (
            open_private_server(
                settings,
                caught_up=caught_up,
                stand_in=[Phase(phase) for phase in stand_in],
                say=say,
            ) as socket,
            open_socket_client(socket) as client,
        ):
            yield client


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """Keep Python's garbage collector from running during a block of imports.

    There is no garbage then, and looking for it took a sixth of the CPU time of importing the API.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


Work = Callable[..., Coroutine[Any, Any, bool | None]]


def command(*, server: bool = False, json_logs: bool = False) -> Callable[[Work], Any]:
    """Make a command from a coroutine function, with the common options and exit codes.

    ``server``: it also has ``--server``. ``json_logs``: with ``--json``, its log lines are JSON.
    The function's parameters after the `Invocation` are the command's own arguments and options.
    If it returns False, the exit code is 1.
    """
    shared = {**(SERVER if server else {}), **EVERYWHERE}

    def decorate(work: Work) -> Any:
        @functools.wraps(work)
        def called(**given: Any) -> None:
            invocation = Invocation(**{name: given.pop(name) for name in shared})
            logs_as_json = invocation.json and json_logs
            execute(lambda: work(invocation, **given), invocation.debug, json=logs_as_json)

        parameters = [*_own_parameters(work), *_parameters(shared)]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return called

    return decorate


def _own_parameters(work: Work) -> list[inspect.Parameter]:
    hints = get_type_hints(work, include_extras=True)
    _, *own = inspect.signature(work).parameters.values()
    return [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in own
    ]


def _parameters(options: dict[str, tuple[Any, Any]]) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in options.items()
    ]


def execute(
    work: Callable[[], Coroutine[Any, Any, bool | None]], debug: bool, *, json: bool = False
) -> None:
    """Run a command's work on uvloop, and print an error in one line.

    Raises:
        typer.Exit: with 1 after False or one of Triptych's errors, 2 after an invalid setting, 130
            after Ctrl-C, 128 and its number after one of `ENDING`.
    """
    import uvloop

    from triptych.cli.log_output import configure_logs, say
    from triptych.errors import SettingsError, TriptychError

    configure_logs(debug=debug, json=json)
    ended_by: list[signal.Signals] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            succeeded = runner.run(_ended_by_signals(work, ended_by))
    except TriptychError as error:
        if debug:
            raise
        say(f"error: {error}")
        raise typer.Exit(EXIT_USAGE if isinstance(error, SettingsError) else EXIT_FAILED) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(EXIT_INTERRUPTED) from error
    except asyncio.CancelledError as error:
        if not ended_by:
            raise
        raise typer.Exit(EXIT_SIGNAL + ended_by[0]) from error
    if succeeded is False:
        raise typer.Exit(EXIT_FAILED)


async def _ended_by_signals(
    work: Callable[[], Coroutine[Any, Any, bool | None]], ended_by: list[signal.Signals]
) -> bool | None:
    """Do the work; cancel it at the first of `ENDING`, and add that to ``ended_by``.

    Later ones change nothing: `timeout` sends its signal to the process and to its group, and the
    second must not interrupt the end. A server's own handlers replace these.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def asked(number: signal.Signals) -> None:
        if not ended_by:
            ended_by.append(number)
            task.cancel()

    for number in ENDING:
        # A command under `nohup` goes on when its terminal is closed.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, asked, number)
    return await work()
