"""Row 10: from nothing to ready: `triptych up` on a warm data folder, and `triptych --help`."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from aws_local.emulator import HOST, free_port

from bench.lanes import WORK
from bench.results import Aim, Entry, alone

ROW = 10
TITLE = "cold"
FULL = {"ups": 5, "helps": 15}
REDUCED = {"ups": 1, "helps": 2}
READY = Aim("≤ 5 s", most=5)
HELP = Aim("≤ 0.3 s", most=0.3)
START_S = 120.0
PROBE_S = 0.02
COMMAND = str(Path(sys.executable).with_name("triptych"))


def up(folder: Path) -> float:
    """Start `triptych up`; return the seconds until it says that it is ready; stop it."""
    port = free_port()
    begun = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, "up", "--data", str(folder), "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5):
                    return time.perf_counter() - begun
            except (urllib.error.URLError, OSError):
                if process.poll() is not None or time.perf_counter() - begun > START_S:
                    raise
            time.sleep(PROBE_S)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)


def help_s() -> tuple[float, float]:
    """Return the wall and the processor seconds of `triptych --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run([COMMAND, "--help"], stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    folder = WORK / f"up-{os.getpid()}"
    try:
        first = up(folder)
        tell(f"first start, with an empty data folder: {first:.1f} s")
        ups = [up(folder) for _ in range(size["ups"])]
        tell(f"warm starts: {', '.join(f'{each:.1f}' for each in ups)} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    help_s()
    helps = [help_s() for _ in range(size["helps"])]
    return [
        alone(
            ROW,
            "`triptych up` to ready, warm data folder",
            "s",
            ups,
            READY,
            empty_folder_s=round(first, 1),
        ),
        alone(
            ROW,
            "`triptych --help`",
            "s",
            [wall for wall, _ in helps],
            HELP,
            cpu_s=[round(cpu, 3) for _, cpu in helps],
        ),
    ]
