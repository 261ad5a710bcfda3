"""Commands as forks of one process that has imported the program, which takes four CPU seconds.

The process that forks them is started once a test session, from this file. It has one thread and no
event loop, so nothing is lost by a fork. A fork runs ``python -m triptych`` with the arguments, the
environment, the folder and the pipes that are its own, and ends as an interpreter does. What a
command imports by itself is not seen to be missing here: `Cli.start` starts an interpreter.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path
from unittest.mock import patch

from triptych.runtime.cpu import one_thread_each

REQUEST_MAX_BYTES = 1 << 16
"""Of the arguments, the environment and the folder of a command, as JSON."""
HANDED_OVER = 4
"""Descriptors that come with a request: stdin, stdout, stderr, and where its pid and code go."""
PACKAGES = tuple(
    f"triptych.{name}"
    for name in ("cli", "client", "api", "wiring", "workers", "gather", "media", "ai", "snapshots")
)
"""What the forks find imported, with what these packages import."""
IMPORTED_LATE = (
    *("scipy.optimize", "scipy.sparse.csgraph"),
    *("sklearn.cluster", "sklearn.decomposition", "sklearn.linear_model"),
)
"""What the steps of the AI phase import when they run: more than a CPU second for each run."""
STARTING_THREADS = frozenset({"onnxruntime"})
"""Packages that start threads when they are imported; a fork imports them and what needs them."""
NO_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Without these variables importing pyarrow starts a thread, of jemalloc."""
NOT_NEEDED = frozenset({"pandas"})
"""scikit-learn imports it where it is installed, as for these tests; the program needs it not."""
AT_START = ("PYTHON", "LANG", "LC_")
"""How the variables begin that an interpreter reads once."""
SIZE = frozenset({"COLUMNS", "LINES"})
END_S = 60.0
SHIM = Path(__file__).with_name("command_shim.py")
REQUESTS = "FORK_REQUESTS"
"""The variable by which `SHIM` finds the way to the process that forks."""


class _Refuse(MetaPathFinder):
    """Lets no package be imported that starts threads or is not needed."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in STARTING_THREADS | NOT_NEEDED:
            raise _Refused(f"{name} starts threads, or is not needed", name=name)


class _Refused(ImportError):
    """A module was not imported because it needs one that `_Refuse` refuses."""


def import_packages(packages: Sequence[str], late: Sequence[str]) -> None:
    """Import packages with all that is in them, and ``late``, as far as it starts no thread."""
    refuse = _Refuse()
    sys.meta_path.insert(0, refuse)
    for package in packages:
        parts = import_module(package).__path__
        for module in pkgutil.walk_packages(parts, f"{package}."):
            with suppress(_Refused):
                import_module(module.name)
    for name in late:
        import_module(name)
    sys.meta_path.remove(refuse)


def make_command_tree() -> None:
    """Make typer's commands once for all forks: it takes a fifth of a second."""
    from typer import main

    from triptych.cli.command_line import app

    patch.object(main, "get_command", functools.cache(main.get_command)).start()
    main.get_command(app)


class Forker:
    """Forks a command for each request, until the other end of its socket is closed."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._answers: dict[int, tuple[int, int]] = {}
        """By the descriptor of a fork that runs: its pid, and where its code goes."""

    def serve(self) -> bool:
        """Return True in a fork that has its command to run, False at the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._requests:
                    self._ended(key.fd)
                    continue
                body, handed, _, _ = socket.recv_fds(self._requests, REQUEST_MAX_BYTES, HANDED_OVER)
                if not body:
                    return False
                if self._fork(body, handed):
                    return True

    def _fork(self, body: bytes, handed: Sequence[int]) -> bool:
        threads = list(Path("/proc/self/task").iterdir())
        assert len(threads) == 1, "locks of another thread would be held for ever"
        *pipes, answer = handed
        pid = os.fork()
        if not pid:
            self._close()
            os.close(answer)
            become(json.loads(body), pipes)
            return True
        for pipe in pipes:
            os.close(pipe)
        running = os.pidfd_open(pid)
        self._answers[running] = pid, answer
        self._selector.register(running, selectors.EVENT_READ)
        with suppress(BrokenPipeError):
            os.write(answer, f"{pid}\n".encode())
        return False

    def _ended(self, running: int) -> None:
        self._selector.unregister(running)
        os.close(running)
        pid, answer = self._answers.pop(running)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BrokenPipeError):  # Its test has ended before it.
            os.write(answer, f"{code}\n".encode())
        os.close(answer)

    def _close(self) -> None:
        self._selector.close()
        self._requests.close()
        for running, (_, answer) in self._answers.items():
            os.close(running)
            os.close(answer)


def become(request: Mapping[str, object], pipes: Sequence[int]) -> None:
    """Take over what a process of the request would be started with."""
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    environment, arguments, folder = request["env"], request["args"], request["cwd"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    assert isinstance(folder, str)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["triptych", *arguments]
    sys.path.insert(0, folder)


class Fork:
    """A command that runs: what `asyncio.subprocess.Process` has, as far as it is needed."""

    def __init__(
        self, pid: int, answer: asyncio.StreamReader, *pipes: asyncio.StreamReader
    ) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout, self.stderr = pipes
        self._answer = answer

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # It has ended, and nobody has waited for it.
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    async def wait(self) -> int:
        """Return its code when it has ended."""
        if self.returncode is None:
            code = await self._answer.readline()
            assert code, "the process that forks commands has died"
            self.returncode = int(code)
            await self._answer.read()  # To its end, which closes it.
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Return what it wrote to stdout and to stderr, when it has ended."""
        out, err, _ = await asyncio.gather(self.stdout.read(), self.stderr.read(), self.wait())
        return out, err


class Forks:
    """The process that forks commands, and the way to it.

    ``packages`` and ``late`` are what the forks find imported.
    """

    def __init__(
        self, packages: Sequence[str] = PACKAGES, late: Sequence[str] = IMPORTED_LATE
    ) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno()), ",".join(packages), *late],
                env={**_without_size(os.environ), **interpreter(), **NO_THREAD},
                pass_fds=[theirs.fileno()],
            )

    async def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> Fork | None:
        """Start a command; None if only an interpreter of its own can run it."""
        (out, outward), (err, errward) = await _pipe(), await _pipe()
        try:
            return await self._start(arguments, environment, folder, outward, errward, out, err)
        finally:
            os.close(outward)
            os.close(errward)

    async def start_silent(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> Fork | None:
        """Start a command whose output nobody reads; None as `start` does."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            return await self._start(arguments, environment, folder, nowhere, nowhere, *_nothing())
        finally:
            os.close(nowhere)

    async def _start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        outward: int,
        errward: int,
        *pipes: asyncio.StreamReader,
    ) -> Fork | None:
        request = {"args": list(arguments), "env": dict(environment), "cwd": str(folder)}
        body = json.dumps(request).encode()
        if len(body) > REQUEST_MAX_BYTES or interpreter(environment) != interpreter():
            return None
        answer, answering = await _pipe()
        try:
            socket.send_fds(self._requests, [body], [0, outward, errward, answering])
        finally:
            os.close(answering)
        pid = await answer.readline()
        assert pid, "the process that forks commands has died"
        return Fork(int(pid), answer, *pipes)

    def program(self, folder: Path) -> tuple[dict[str, str], tuple[int, ...]]:
        """Put a program ``triptych`` into a folder, which forks a command when a script calls it.

        Returns:
            Variables that the script has to have, and descriptors that it has to inherit.
        """
        path = folder / "triptych"
        path.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{SHIM}' \"$@\"\n")
        path.chmod(0o755)
        return {REQUESTS: str(self._requests.fileno())}, (self._requests.fileno(),)

    def close(self) -> None:
        self._requests.close()
        self._process.wait(END_S)


def _without_size(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables without the terminal's size: rich would keep it for all forks."""
    return {name: value for name, value in environment.items() if name not in SIZE}


def interpreter(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that Python reads when it starts; a hung command shows its stacks."""
    read = {name: value for name, value in environment.items() if name.startswith(AT_START)}
    return read | {"PYTHONFAULTHANDLER": "1"}


def _nothing() -> tuple[asyncio.StreamReader, asyncio.StreamReader]:
    """Return two readers that are at their end."""
    out, err = asyncio.StreamReader(), asyncio.StreamReader()
    out.feed_eof()
    err.feed_eof()
    return out, err


async def _pipe() -> tuple[asyncio.StreamReader, int]:
    """Return a reader, and the descriptor that is written to."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
    )
    return reader, writing


if __name__ == "__main__":
    # A background job, such as the tests may be, ignores them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    one_thread_each()
    import_packages(sys.argv[2].split(","), sys.argv[3:])
    make_command_tree()
    gc.freeze()  # A fork's collections would copy every page.
    if Forker(socket.socket(fileno=int(sys.argv[1]))).serve():
        runpy.run_module("triptych", run_name="__main__", alter_sys=True)
