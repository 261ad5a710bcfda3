"""The Redis that peers keep their queues in: the installed one, or Debian's, unpacked."""

from __future__ import annotations

import shutil

from aws_local.emulator import HOST
from scripts.debian import unpacked

from bench.lanes import WORK

UNPACKED = WORK / "redis"
PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
"""The server's program is in the package of the tools."""


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


def redis_command(port: int) -> tuple[list[str], dict[str, str]]:
    """Return how to start a Redis that keeps what it is told, as one for queues is to be run."""
    program, environment = find_redis()
    options = {
        "bind": HOST,
        "port": str(port),
        # What its makers advise for data that must outlive a crash: at most a second is lost.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [program, *arguments], environment
