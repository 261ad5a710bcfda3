"""The image, as far as it can be built and run where there is no Docker engine."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.image_build import Build, context

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("image")]

SEES = """
import sys
from pathlib import Path
import triptych
from triptych.settings.settings import Settings
from triptych.wiring.models import open_embedder, open_text_encoder
data, page = Path(sys.argv[1]), Path(triptych.__file__).parent / "dashboard" / "index.html"
settings, before = Settings.load(data=data), {*data.rglob("*")}
open_text_encoder(settings, open_embedder(settings, 1)).encode(["a shoe"])
assert {*data.rglob("*")} == before, "a container may not write there"
assert "<script" in page.read_text()
assert "site-packages" in triptych.__file__, "not what was installed"
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("image")
    made = Build(context(folder / "context"), folder / "stages")
    (folder / "stages").mkdir()
    for stage in ("dashboard", "build", "build-lambda"):
        made.do(stage)
    return made


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a stage, outside the repository and its environment."""
    return subprocess.run(
        [str(root / "opt" / "triptych" / "bin" / "python"), *command],
        cwd="/tmp",
        env={"HOME": "/nonexistent", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_g9_its_user_can_read_all_of_it_and_write_none(build: Build) -> None:
    root = build.root("build-lambda")
    for place in ("opt/triptych", "data"):
        for path in (root / place).rglob("*"):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and path.name != ".lock":  # uv's own.
                needed = 0o005 if stat.S_ISDIR(mode) else 0o004
                assert mode & needed == needed, path
                assert not mode & 0o002, path


def test_the_service_has_its_model_and_the_dashboard(build: Build) -> None:
    root = build.root("build")
    assert build.entry("service") == ["triptych"]
    seen = run(root, "-c", SEES, str(root / "data"))
    assert seen.returncode == 0, seen.stderr
    # Its interpreter's path is in its first line, which is the image's there and the stage's here.
    shown = run(root, str(root / "opt" / "triptych" / "bin" / "triptych"), "--help")
    assert shown.returncode == 0, shown.stderr
    assert "worker" in shown.stdout
    missing = run(root, "-m", "pip", "--version")
    assert missing.returncode != 0, "pip is of no use there"


def test_the_function_has_awss_runtime_client_and_its_handlers(build: Build) -> None:
    root = build.root("build-lambda")
    assert build.entry("lambda") == ["/opt/triptych/bin/python", "-m", "awslambdaric"]
    found = run(root, "-c", "import awslambdaric; from triptych.aws_lambda.handlers import sweep")
    assert found.returncode == 0, found.stderr


def test_what_is_sent_to_the_engine_is_what_the_image_needs(build: Build, tmp_path: Path) -> None:
    sent = context(tmp_path)
    names = {path.relative_to(sent).parts[0] for path in sent.rglob("*")}
    assert {"src", "dashboard", "requirements", "docs", "pyproject.toml"} <= names
    assert not {"tests", "infra", "bench", "evals", "demo", ".venv"} & names
    assert {path.name for path in (sent / "docs").rglob("*.*")} == {"openapi.json", "failures.md"}
