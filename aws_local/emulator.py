"""MiniStack: SQS, S3, CloudWatch and more over their real wire protocols, on loopback.

It pins botocore, so it has an environment of its own, `.venv-emulator`. How it differs from AWS is
told in docs/guides/aws.md.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType

from aws_local.guard import ROOT, Guard

PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
HOST = "127.0.0.1"
REGION = "eu-central-1"
START_S = 60.0
STOP_S = 10.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class Emulator:
    """The emulator as a child process; its state is in memory and ends with it."""

    def __init__(
        self, folder: Path, *, port: int | None = None, guard: Guard | None = None
    ) -> None:
        self._folder = folder
        self._guard = guard
        self._port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Return its address, for ``AWS_ENDPOINT_URL``."""
        return f"http://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Return its process id while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes AWS' own libraries, and obstore, use it."""
        return {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def start(self, **options: str) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it is not installed, or ends, or does not answer in time.
        """
        if not PYTHON.exists():
            raise RuntimeError("The emulator is not installed: run `make setup`.")
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "emulator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PYTHON), "-m", "ministack"],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: workers drain first.
                env={
                    "PATH": os.environ["PATH"],
                    "TMPDIR": str(self._folder),
                    "BIND_HOST": HOST,
                    "MINISTACK_HOST": HOST,
                    "GATEWAY_PORT": str(self._port),
                    "MINISTACK_REGION": REGION,
                    **options,
                },
            )
        if self._guard is not None:
            self._guard.watch(self._process.pid)
        self._wait()

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"The emulator does not answer; see {self._folder / 'emulator.log'}.")

    def stop(self) -> None:
        """End it. Safe to repeat."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Emulator:
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
