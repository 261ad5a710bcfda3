"""The archives of a release that no other tool makes: ``python -m scripts.release FOLDER``.

They are the context from which an engine builds the image, and the Helm chart. Two calls for one
commit write the same bytes: files are sorted, and have the commit's time, no owner, and one of two
modes.
"""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

from scripts.image_context import context_files

ROOT = Path(__file__).resolve().parents[1]
CHART = "deploy/helm/triptych"
GIT_S = 60.0
READABLE, RUNNABLE = 0o644, 0o755


class ReleaseError(Exception):
    """This working tree is none to release from; says why."""


def git(root: Path, *words: str) -> str:
    """Return what git says of the repository at ``root``.

    Raises:
        subprocess.CalledProcessError: git fails.
    """
    return subprocess.run(
        ["git", *words], cwd=root, check=True, capture_output=True, text=True, timeout=GIT_S
    ).stdout


def check(root: Path) -> str:
    """Return the version to release.

    Raises:
        ReleaseError: there is something that no commit has, or the chart has another version.
    """
    if changed := git(root, "status", "--porcelain"):
        raise ReleaseError(f"What is not committed would be released:\n{changed}")
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    chart = (root / CHART / "Chart.yaml").read_text(encoding="utf-8")
    for name in ("version", "appVersion"):
        if not re.search(rf"(?m)^{name}: {re.escape(version)}$", chart):
            raise ReleaseError(
                f"{CHART}/Chart.yaml: {name} is not {version}, as in pyproject.toml."
            )
    return version


def write_archive(
    target: Path, files: Iterable[str], *, root: Path, within: str = "", time_s: int
) -> None:
    """Write files of the folder ``root`` into a ``.tar.gz``.

    Args:
        target: the archive.
        files: their names, relative to ``root``.
        root: the folder that they are in.
        within: the folder of the archive that they are put into; its root if empty.
        time_s: all files' time, in seconds since 1970.
    """
    with (
        target.open("wb") as out,
        gzip.GzipFile("", "wb", fileobj=out, mtime=time_s) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            found = (root / name).stat()
            member = tarfile.TarInfo(f"{within}/{name}" if within else name)
            member.size, member.mtime = found.st_size, time_s
            member.mode = RUNNABLE if found.st_mode & 0o100 else READABLE
            with (root / name).open("rb") as file:
                archive.addfile(member, file)


def release(folder: Path, root: Path = ROOT) -> list[Path]:
    """Write the archives into a folder; return them.

    Raises:
        ReleaseError: as `check` does.
    """
    version = check(root)
    time_s = int(git(root, "log", "-1", "--format=%ct"))
    image = folder / f"triptych-{version}-image.tar.gz"
    write_archive(image, context_files(root), root=root, time_s=time_s)
    chart = folder / f"triptych-{version}.tgz"
    files = git(root / CHART, "ls-files", "-z").split("\0")
    write_archive(chart, filter(None, files), root=root / CHART, within="triptych", time_s=time_s)
    return [image, chart]


if __name__ == "__main__":
    try:
        release(Path(sys.argv[1]))
    except ReleaseError as error:
        sys.exit(f"error: {error}")
