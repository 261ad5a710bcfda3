"""A server as a child process on loopback: started until it answers, ended gently or by force."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from aws_local.guard import Guard

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 10.0
PROBE_S = 0.05


class ChildServer(ABC):
    """It can be stopped and started again: at the same port, in the same folder."""

    def __init__(
        self, folder: Path, *, port: int | None = None, guard: Guard | None = None
    ) -> None:
        self.folder = folder
        """Where it works, and where its log is."""
        self.port = port or free_port()
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """How messages call it; its log is named like that, too."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the program, which must exist, and its arguments."""

    @abstractmethod
    def answers(self) -> bool:
        """Ask it something; return whether it has answered. At most a second or so."""

    def variables(self) -> Mapping[str, str] | None:
        """Return its environment; None for this process' own."""
        return None

    @property
    def pid(self) -> int | None:
        """Return its process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name.lower()}.log"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it is not installed, or ends, or does not answer in time.
        """
        command = self.command()
        if not Path(command[0]).exists():
            environment = Path(command[0]).parents[1].name
            raise RuntimeError(f"{self.name} is not installed: run `make {environment}/.ready`.")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: workers drain first.
                env=self.variables(),
            )
        if self._guard is not None:
            self._guard.watch(self._process.pid)
        until = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until:
            if self.answers():
                return
            time.sleep(PROBE_S)
        self.stop()
        raise RuntimeError(f"{self.name} does not answer; see {self.log}.")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, by force if it has not ended after `STOP_S`. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.stop()


def taken(port: int) -> bool:
    """Tell whether something listens at a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    """Return a port of loopback that is free just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
