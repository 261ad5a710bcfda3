"""A small file system of its own for a data folder, that can be filled."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = "700m"
BALLAST = "ballast"


class SmallDisk:
    """A tmpfs where this account may mount one; else the folder as it is, which cannot be full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.refused: str | None = None
        """Why it could not be mounted."""

    def mount(self) -> None:
        self._folder.mkdir(mode=0o700)
        done = _run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", self._folder)
        if done.returncode:
            self.refused = done.stderr.strip() or "no reason given"

    async def full(self, seconds: float) -> None:
        """Leave no byte free for a time."""
        ballast = self._folder / BALLAST
        try:
            # What others take meanwhile does not fit any more: then the disk is full as well.
            with ballast.open("wb") as file, suppress(OSError):
                state = os.statvfs(self._folder)
                os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize)
            await asyncio.sleep(seconds)
        finally:
            ballast.unlink(missing_ok=True)

    def unmount(self, keep: Path | None) -> None:
        """Unmount it; first copy what is on it to ``keep``, if that is given. All have ended."""
        if self.refused is not None:
            return
        if keep is not None:
            _run("cp", "-a", self._folder, keep)
        _run("umount", self._folder)


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)), capture_output=True, text=True, check=False, timeout=60
    )
