"""Servers that Debian has and PyPI has not: the installed one, or its package, unpacked."""

from __future__ import annotations

import shutil
import subprocess

from aws_local.emulator import HOST

from bench.lanes import WORK

APT_S = 300.0
UNPACKED = WORK / "debian"
REDIS_PACKAGES = ("redis-tools", "libjemalloc2", "liblzf1", "libatomic1")
"""The server's program is in the package of the tools."""


def find_redis() -> tuple[str, dict[str, str]]:
    """Return the program, and what its environment needs; fetched once if it is not installed.

    Raises:
        RuntimeError: there is none, and this is no Debian.
    """
    if installed := shutil.which("redis-server"):
        return installed, {}
    libraries = ":".join(
        str(path) for path in (UNPACKED / "usr" / "lib").glob("*-linux-*") if path.is_dir()
    )
    program = UNPACKED / "usr" / "bin" / "redis-check-rdb"
    if not program.exists():
        _unpack(REDIS_PACKAGES)
        return find_redis()
    # One program under several names: as which it runs, it is told by the first argument.
    server = UNPACKED / "usr" / "bin" / "redis-server"
    if not server.exists():
        server.symlink_to(program.resolve())
    return str(server), {"LD_LIBRARY_PATH": libraries}


def _unpack(packages: tuple[str, ...]) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        message = f"{packages[0]} is not installed, and there is no apt-get to fetch it with."
        raise RuntimeError(message)
    UNPACKED.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["apt-get", "download", "-qq", *packages],
        cwd=UNPACKED,
        capture_output=True,
        timeout=APT_S,
        check=False,
    )
    found = sorted(UNPACKED.glob("*.deb"))
    if done.returncode or not found:
        message = f"{packages[0]} cannot be fetched: run `apt-get update` first, or install it."
        raise RuntimeError(message)
    for each in found:
        subprocess.run(["dpkg-deb", "-x", each, UNPACKED], check=True, timeout=APT_S)
        each.unlink()


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
