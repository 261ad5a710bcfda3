"""`scripts/chromium.sh` finds a Chromium, installs one, or says in one line what is missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "chromium.sh"
TOOLS = ("bash", "dirname", "find", "id", "mkdir", "sort", "tail")
TIMEOUT_S = 30.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A PATH with the tools of the script and no Chromium."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        source = next(
            Path(part) / tool
            for part in os.environ["PATH"].split(":")
            if (Path(part) / tool).exists()
        )
        (folder / tool).symlink_to(source)
    return folder


def executable(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def run(path: Path, tmp_path: Path, **env: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    written = tmp_path / "out" / "path"
    done = subprocess.run(
        [path / "bash", SCRIPT, written],
        env={"PATH": str(path), "HOME": str(tmp_path / "home"), **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done, written


def test_without_chromium_and_without_a_cache_folder_it_is_installed(
    path: Path, tmp_path: Path
) -> None:
    executable(path / "env")
    installed = path / "chromium"
    executable(
        path / "apt-get",
        f'case "$1" in install) printf "#!/bin/bash\\n" > {installed}; chmod +x {installed};; esac',
    )
    (path / "chmod").symlink_to("/bin/chmod")
    done, written = run(path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert written.read_text(encoding="utf-8").strip() == str(installed)


def test_where_nothing_can_install_it_the_error_says_what_is_needed(
    path: Path, tmp_path: Path
) -> None:
    done, written = run(path, tmp_path)
    assert done.returncode == 1
    assert "install it, or set CHROMIUM" in done.stderr
    assert not written.exists()


def test_without_a_home_variable_it_still_says_what_is_needed(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [path / "bash", SCRIPT, tmp_path / "path"],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert "install it, or set CHROMIUM" in done.stderr


def test_what_playwright_left_is_found(path: Path, tmp_path: Path) -> None:
    browser = executable(tmp_path / "home/.cache/ms-playwright/chromium-1/chrome-linux/chrome")
    done, written = run(path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert written.read_text(encoding="utf-8").strip() == str(browser)


def test_one_that_is_named_comes_first(path: Path, tmp_path: Path) -> None:
    executable(path / "chromium")
    named = executable(tmp_path / "my-chromium")
    done, written = run(path, tmp_path, CHROMIUM=str(named))
    assert done.returncode == 0, done.stderr
    assert written.read_text(encoding="utf-8").strip() == str(named)
