"""What code reaches that has taken over a child in the sandbox: it attempts what it must not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SECRET = "planted-secret-42"

# Runs as the child does after its imports: what follows is what its input could make it do.
SCRIPT = """
import ctypes, json, os, socket, sys, threading
told = json.loads(sys.argv[1])
from {module} import {enter}
missing = {enter}()
libc = ctypes.CDLL(None, use_errno=True)

def called(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def connected(family, address):
    with socket.socket(family) as line:
        line.connect(address)

def threads():
    thread = threading.Thread(target=print, args=("",))
    thread.start()
    thread.join()

parent, (process_vm_readv, ptrace, unshare, io_uring_setup) = told["parent"], told["calls"]
buffer = ctypes.create_string_buffer(64)
attempts = {
    "environment": lambda: open(f"/proc/{parent}/environ", "rb").read(),
    "memory": lambda: open(f"/proc/{parent}/mem", "rb"),
    "memory by a call": lambda: called(process_vm_readv, parent, buffer, 1, buffer, 1, 0),
    "debugging": lambda: called(ptrace, 16, parent, 0, 0),
    "socket": lambda: connected(socket.AF_INET, ("127.0.0.1", told["port"])),
    "database": lambda: connected(socket.AF_UNIX, told["database"]),
    "fork": os.fork,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "file": lambda: open(told["file"]).read(),
    "folder": lambda: os.listdir(os.path.dirname(told["file"])),
    "new file": lambda: open(told["file"] + ".new", "w"),
    "changed file": lambda: open(told["file"], "a"),
    "removed file": lambda: os.unlink(told["file"]),
    "signal": lambda: os.kill(parent, 0),
    "namespace": lambda: called(unshare, 0x10000000),
    "io_uring": lambda: called(io_uring_setup, 1, buffer),
    "limits of others": lambda: __import__("resource").prlimit(parent, 0),
}
outcomes = {}
for name, attempt in attempts.items():
    try:
        attempt()
        outcomes[name] = "done"
    except BaseException as error:
        outcomes[name] = type(error).__name__
threads()
import email.mime.text, encodings.cp1250
print(json.dumps({"missing": missing, "outcomes": outcomes}))
"""
CALLS = {"x86_64": (310, 101, 272, 425), "aarch64": (270, 117, 97, 425)}
ATTEMPTS = (
    *("environment", "memory", "memory by a call", "debugging", "socket", "database", "fork"),
    *("exec", "file", "folder", "new file", "changed file", "removed file", "signal"),
    *("namespace", "io_uring", "limits of others"),
)
"""Each of them must end with a `PermissionError`."""


def outcomes(
    enter: str, environment: Mapping[str, str], *, dsn: str, folder: Path
) -> dict[str, str]:
    """Return what became of each attempt, with everything within reach of this process.

    ``enter`` is the function that confines the child, with its module; ``dsn`` that of a database
    with a socket, and ``folder`` an empty one.
    """
    file = folder / "key"
    file.write_text(SECRET)
    (sockets,) = parse_qs(urlsplit(dsn).query)["host"]
    (database,) = Path(sockets).glob(".s.PGSQL.*[0-9]")
    told = {
        "calls": CALLS[os.uname().machine],
        "database": str(database),
        "file": str(file),
        "parent": os.getpid(),
        "port": 9,
    }
    module, _, name = enter.rpartition(".")
    script = SCRIPT.replace("{module}", module).replace("{enter}", name)
    child = subprocess.run(
        [sys.executable, "-P", "-c", script, json.dumps(told)],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(child.stdout)
    assert answer["missing"] == []
    assert file.read_text() == SECRET
    found: dict[str, str] = answer["outcomes"]
    assert set(found) == set(ATTEMPTS)
    return found
