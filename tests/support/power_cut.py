"""Power cuts: a file system on a loop device of its own, copied as a cut would leave it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.process_tree import ProcessTree

TOOLS = ("mkfs.ext4", "losetup", "mount", "umount")
SIZE_BYTES = 768 * 1024 * 1024
QUIET_S = 30.0
"""Seconds within which the frozen file system must stop writing for the time of a copy."""
COUNTS = (4, 6, 8, 11, 13, 15)
"""Writes, sectors written, in flight, discards, sectors discarded and flushes: columns of
`/sys/block/<device>/stat`."""
NO_LAZY_WRITES = "lazy_itable_init=0,lazy_journal_init=0"


def no_loop_device() -> str | None:
    """Return why no power can be cut here; None if it can."""
    if os.geteuid() != 0:
        return "only root may mount"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"there is no {missing[0]}"
    found = subprocess.run(["losetup", "-f"], capture_output=True, text=True, check=False)
    if found.returncode != 0 or not Path(found.stdout.strip()).exists():
        return "there is no free loop device"
    return None


@dataclass(frozen=True)
class Disk:
    """A mounted file system and the file that holds its blocks."""

    image: Path
    folder: Path
    device: str

    def copy(self, image: Path) -> None:
        """Copy the blocks that have been written so far, all as of one moment.

        What the kernel has not written yet is not in the copy, as after a power cut. Freeze the
        processes that write first.
        """
        until = time.monotonic() + QUIET_S
        while True:
            before = self._writes()
            _run("cp", "--sparse=always", str(self.image), str(image))
            if self._writes() == before:
                return
            assert time.monotonic() < until, "the kernel never stops writing"

    def _writes(self) -> list[str]:
        text = Path(f"/sys/block/{Path(self.device).name}/stat").read_text()
        return [text.split()[column] for column in COUNTS]


def make_image(image: Path) -> None:
    """Write an empty ext4 file system, with the defaults that an installation has."""
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    _run("mkfs.ext4", "-q", "-F", "-E", NO_LAZY_WRITES, str(image))


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Disk]:
    """Mount an image; its journal is replayed first, as at the start after a power cut."""
    folder.mkdir()
    device = _run("losetup", "-f", "--show", str(image))
    try:
        _run("mount", "-t", "ext4", device, str(folder))
        try:
            folder.chmod(0o755)
            yield Disk(image, folder, device)
        finally:
            gc.collect()  # An object store that nothing refers to keeps its folder open until then.
            _run("umount", str(folder))
    finally:
        _run("losetup", "-d", device)


@contextmanager
def frozen(process: int) -> Iterator[None]:
    """Stop a process and all its descendants at whatever they are doing, and let them go on."""
    os.kill(process, signal.SIGSTOP)
    # Twice: the first pass may have met a process in the middle of starting another.
    trees = []
    try:
        for _ in range(2):
            trees.append(ProcessTree(process))
            trees[-1].send(signal.SIGSTOP)
        yield
    finally:
        for tree in trees:
            tree.send(signal.SIGCONT)
            tree.close()
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()
