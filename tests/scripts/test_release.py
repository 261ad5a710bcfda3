"""The archives of a release: the same bytes each time, and only of what is committed."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from scripts.release import CHART, ReleaseError, check, release

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pyproject.toml", ".dockerignore", "Dockerfile", "scripts/image.sh", CHART)


def git(repository: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=T", "-c", "user.email=t@x", *words]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository of what archives are made of."""
    root = tmp_path / "repository"
    for name in COPIED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    (root / "src").mkdir()
    (root / "src" / "run.sh").write_text("#!/bin/sh\n")
    (root / "src" / "run.sh").chmod(0o775)
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "All")
    return root


def test_two_releases_of_a_commit_are_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made.append([path.read_bytes() for path in release(tmp_path / name, repository)])
        # Another checkout of the commit has other times.
        for path in (repository / "src").iterdir():
            path.touch()
    assert made[0] == made[1]


def test_the_archives_have_what_they_are_for(repository: Path, tmp_path: Path) -> None:
    image, chart = release(tmp_path, repository)
    with tarfile.open(image) as archive:
        members = {member.name: member for member in archive}
        assert members.keys() == {".dockerignore", "Dockerfile", "pyproject.toml", "src/run.sh"}
        assert members["src/run.sh"].mode == 0o755
        assert members["Dockerfile"].mode == 0o644
        assert {member.uid for member in members.values()} == {0}
        assert len({member.mtime for member in members.values()}) == 1
    assert chart.name == f"triptych-{check(repository)}.tgz"
    with tarfile.open(chart) as archive:
        names = archive.getnames()
    assert {"triptych/Chart.yaml", "triptych/values.schema.json"} <= set(names)
    assert all(name.startswith("triptych/") for name in names)


def test_what_is_not_committed_is_not_released(repository: Path, tmp_path: Path) -> None:
    (repository / "src" / "new.py").touch()
    with pytest.raises(ReleaseError, match=r"not committed[^$]*src/new\.py"):
        release(tmp_path, repository)


@pytest.mark.parametrize("name", ["version", "appVersion"])
def test_a_chart_of_another_version_is_not_released(repository: Path, name: str) -> None:
    chart = repository / CHART / "Chart.yaml"
    text = chart.read_text()
    chart.write_text(text.replace(f"\n{name}: ", f"\n{name}: 9"))
    git(repository, "commit", "--all", "--quiet", "-m", "Another")
    with pytest.raises(ReleaseError, match=rf"Chart\.yaml: {name} is not"):
        check(repository)
