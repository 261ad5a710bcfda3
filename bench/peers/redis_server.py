"""The Redis that peers keep their queues in: the installed one, or Debian's, unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess

from aws_local.child_server import free_port
from scripts.debian import unpacked

from bench.paths import WORK
from bench.program import HOST, until_listening

UNPACKED = WORK / "redis"
PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
"""The server's program is in the package of the tools."""
# What its makers advise for data that must outlive a crash: at most a second is lost.
OPTIONS = ("--bind", HOST, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "")


def find_redis() -> tuple[str, dict[str, str]]:
    """Return the program, and what its environment needs; fetched once if it is not installed.

    Raises:
        CannotFetch: there is none, and this is no Debian.
    """
    if installed := shutil.which("redis-server"):
        return installed, {}
    usr = unpacked(PACKAGES, UNPACKED) / "usr"
    libraries = ":".join(str(path) for path in (usr / "lib").glob("*-linux-*") if path.is_dir())
    # One program under several names: as which it runs, it is told by the first argument.
    server = usr / "bin" / "redis-server"
    if not server.exists():
        server.symlink_to((usr / "bin" / "redis-check-rdb").resolve())
    return str(server), {"LD_LIBRARY_PATH": libraries}


def start_redis(folder: str) -> str:
    """Start a Redis as a child process; return its URL."""
    program, environment = find_redis()
    port = free_port()
    process = subprocess.Popen(
        [program, "--port", str(port), "--dir", folder, *OPTIONS], env={**os.environ, **environment}
    )
    until_listening(port, lambda: process.poll() is None)
    return f"redis://{HOST}:{port}"
