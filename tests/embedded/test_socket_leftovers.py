"""Socket folders of servers that were killed are removed, and no other."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.data_folder import provide_cluster
from tests.support.embedded import QUICK, alive, owner, socket_folder
from tests.support.waiting import until_true
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.socket_leftovers import QUIET_S
from triptych.embedded.sockets import DATA_PATH, read_dsn

pytestmark = pytest.mark.integration

PAST_S = 2 * QUIET_S


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of its own, open to all accounts, for which paths are short enough."""
    assert tmp_path.is_dir()  # Made before, or it would be in there.
    folder = Path(tempfile.mkdtemp(prefix="triptych-test-", dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The data folder of a server that was killed with its postmaster, long ago."""
    killed = provide_cluster(tmp_path / ("long" * 50))  # So that its sockets are not inside.
    with owner(killed) as process:
        assert process.stdout is not None
        postmaster = int(process.stdout.readline())
        process.kill()
        process.wait()
    os.kill(postmaster, signal.SIGKILL)
    age(left_by(killed))
    return killed


def left_by(data: Path) -> Path:
    return socket_folder(read_dsn(data))


def age(folder: Path) -> None:
    past = folder.stat().st_mtime - PAST_S
    os.utime(folder, (past, past))


async def start_another(data: Path) -> None:
    async with EmbeddedPostgres(data, extra=QUICK):
        pass


@pytest.mark.parametrize("gone", [False, True], ids=["data kept", "data gone"])
async def test_what_a_killed_server_left_is_removed(data: Path, killed: Path, gone: bool) -> None:
    folder = left_by(killed)
    if gone:
        shutil.rmtree(killed)
    assert folder.is_dir()

    await start_another(data)

    assert not folder.exists()


async def test_what_may_be_in_use_stays(data: Path, killed: Path) -> None:
    folder = left_by(killed)
    with DataFolder(killed).lock():
        await start_another(data)
        assert folder.is_dir(), "its data folder is owned"

    (folder / "other").touch()
    age(folder)
    await start_another(data)
    assert folder.is_dir(), "it holds something else"
    (folder / "other").unlink()

    (folder / DATA_PATH).write_text(str(data))
    age(folder)
    await start_another(data)
    assert folder.is_dir(), "it does not say whose it is"


async def test_what_has_changed_a_moment_ago_stays(data: Path, killed: Path) -> None:
    folder = left_by(killed)
    os.utime(folder)
    await start_another(data)
    assert folder.is_dir()


async def test_the_socket_of_an_orphan_stays(data: Path, tmp_path: Path) -> None:
    orphaned = provide_cluster(tmp_path / ("long" * 50))
    with owner(orphaned) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        process.kill()
        process.wait()
    age(left_by(orphaned))
    try:
        await start_another(data)
        assert left_by(orphaned).is_dir()
    finally:
        os.kill(orphan, signal.SIGQUIT)
        await until_true(lambda: not alive(orphan))
