"""Data folders as the first command leaves them: a copy costs a tenth of making one.

initdb and the migrations take six CPU seconds, so they are done once a test session.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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
    return data


def pytest_unconfigure() -> None:
    """Remove what is copied."""
    if _template.cache_info().currsize:
        shutil.rmtree(_template().parent)
        _template.cache_clear()


def provide(data: Path) -> None:
    """Make a data folder with an empty database and no server, unless there is one.

    Do not use it where the making of a data folder is tested, or two that have no key in common.
    """
    if data.exists():
        return
    # Its files belong to two accounts, which `shutil` does not keep.
    subprocess.run(["cp", "-a", _template(), data], check=True, timeout=COPIED_S)
