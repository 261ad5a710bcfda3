"""Data folders as the first command leaves them: a copy costs a tenth of making one.

initdb takes one CPU second, the migrations five, the bundled model with its class names four, so
they are made once a test session.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.embedded import QUICK
from triptych.embedded.data_folder import POSTGRES, DataFolder
from triptych.embedded.server import EmbeddedPostgres
from triptych.settings.settings import Settings
from triptych.wiring.models import BUNDLED, open_embedder, open_text_encoder

TEMPORARY = tempfile.gettempdir()
"""As it is before a test sets another."""
MADE_S = 300.0
COPIED_S = 120.0


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="triptych-tests-data-"))
    data = folder / "data"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRIPTYCH_")}
    subprocess.run(
        [sys.executable, "-m", "triptych", "runs"],
        env={**kept, "TRIPTYCH_DATA": str(data)},
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=MADE_S,
    )
    # What it said while it was made belongs to the folder that it was made for.
    shutil.rmtree(data / "log")
    return folder


@functools.cache
def _cluster() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="triptych-tests-cluster-", dir=TEMPORARY))
    data = DataFolder(folder / "data").path

    async def start_and_stop() -> None:
        async with EmbeddedPostgres(data, extra=QUICK):
            pass

    # A loop of its own: the caller may run one already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, start_and_stop()).result(MADE_S)
    # Its address, and what it said, belong to the folder that it was made for.
    for path in data.iterdir():
        if path.name != POSTGRES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@functools.cache
def _models() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="triptych-tests-models-"))
    settings = Settings.load(data=folder / "data", embedder=BUNDLED)
    open_text_encoder(settings, open_embedder(settings, 1))
    return folder


def pytest_unconfigure() -> None:
    """Remove what is copied."""
    for made in (_template, _cluster, _models):
        if made.cache_info().currsize:
            shutil.rmtree(made())
            made.cache_clear()


def provide(data: Path) -> None:
    """Make a data folder with an empty database and no server, unless there is one.

    Do not use it where the making of a data folder is tested, or two that have no key in common.
    """
    if data.exists():
        return
    # Its files belong to two accounts, which `shutil` does not keep.
    subprocess.run(["cp", "-a", _template() / "data", data], check=True, timeout=COPIED_S)


def provide_cluster(data: Path) -> Path:
    """Give a data folder the database that the first start makes, without a schema; return it.

    Do not use it where the making of a cluster is tested.
    """
    folder = DataFolder(data)
    subprocess.run(
        ["cp", "-a", _cluster() / "data" / POSTGRES, folder.postgres], check=True, timeout=COPIED_S
    )
    return folder.path


def provide_models(data: Path) -> None:
    """Copy the bundled model and its class names into a data folder, unless it has some.

    Do not use it where their making is tested.
    """
    if not (data / "models").exists():
        shutil.copytree(_models() / "data" / "models", data / "models")
