"""Row 10: from nothing to ready: `triptych up` on a warm data folder, and `triptych --help`."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from aws_local.child_server import free_port

from bench.lanes import LaneFailed, Tell
from bench.paths import WORK
from bench.program import HOST
from bench.results import Aim, Entry, alone

ROW = 10
TITLE = "cold"
FULL = {"ups": 5, "helps": 15}
REDUCED = {"ups": 1, "helps": 2}
READY = Aim("≤ 5 s", most=5)
HELP = Aim("≤ 0.3 s", most=0.3)
START_S = 120.0
PROBE_S = 0.02
ANSWER_S = 5.0
COMMAND = str(Path(sys.executable).with_name("triptych"))


def up(client: httpx.Client, folder: Path) -> float:
    """Start `triptych up`; return the seconds until it says that it is ready; stop it."""
    port = free_port()
    begun = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, "up", "--data", folder, "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not ready(client, port):
            if process.poll() is not None or time.perf_counter() - begun > START_S:
                raise LaneFailed("`triptych up` ended or stood still")
            time.sleep(PROBE_S)
        return time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)


def ready(client: httpx.Client, port: int) -> bool:
    """Tell whether it says that it is ready."""
    try:
        return client.get(f"http://{HOST}:{port}/readyz").is_success
    except httpx.TransportError:
        return False


def help_s() -> tuple[float, float]:
    """Return the wall and the processor seconds of `triptych --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    subprocess.run([COMMAND, "--help"], stdout=subprocess.DEVNULL, check=True)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    folder = WORK / f"up-{os.getpid()}"
    try:
        # Made once: a client's certificates take longer to load than a probe may.
        with httpx.Client(timeout=ANSWER_S, trust_env=False) as client:
            first = up(client, folder)
            tell(f"first start, with an empty data folder: {first:.1f} s")
            ups = [up(client, folder) for _ in range(size["ups"])]
        tell(f"warm starts: {', '.join(f'{each:.1f}' for each in ups)} s")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    help_s()
    helps = [help_s() for _ in range(size["helps"])]
    walls, cpus = zip(*helps, strict=True)
    empty_s, cpu_s = round(first, 1), [round(cpu, 3) for cpu in cpus]
    warm = "`triptych up` to ready, warm data folder"
    return [
        alone(ROW, warm, "s", ups, READY, empty_folder_s=empty_s),
        alone(ROW, "`triptych --help`", "s", walls, HELP, cpu_s=cpu_s),
    ]
