"""Debian's packages, fetched and unpacked into a folder: nothing is installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

APT_S = 600.0


class CannotFetch(Exception):
    """A package cannot be had here; says what to do."""


def unpacked(packages: Sequence[str], into: Path) -> Path:
    """Return ``into`` with the packages' files below it, fetched if it is not there.

    It comes into being whole, whoever else does the same at the time.

    Raises:
        CannotFetch: this is no Debian, or it cannot be reached.
    """
    if into.is_dir():
        return into
    names = ", ".join(packages)
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise CannotFetch(f"{names}: there is no apt-get to fetch it with; install it.")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f"{into.name}.") as own:
        place = Path(own)
        if not _download(packages, place):
            raise CannotFetch(f"{names} cannot be fetched from Debian; install it.")
        files = place / "files"
        for package in sorted(place.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, files], check=True, timeout=APT_S)
        try:
            files.rename(into)
        except OSError:
            if not into.is_dir():
                raise
    return into


def _download(packages: Sequence[str], place: Path) -> bool:
    # A bare machine has no lists of packages yet; these are our own.
    for name in ("lists", "cache"):
        (place / name / "partial").mkdir(parents=True)
    own = (f"-oDir::State::Lists={place}/lists", f"-oDir::Cache={place}/cache")
    return _apt(place, "download", *packages) or (
        _apt(place, *own, "update") and _apt(place, *own, "download", *packages)
    )


def _apt(place: Path, *arguments: str) -> bool:
    """Run apt-get in a folder; return whether it did what it was told."""
    done = subprocess.run(
        ["apt-get", "-qq", *arguments],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=APT_S,
        check=False,
    )
    return done.returncode == 0
