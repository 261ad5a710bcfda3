"""The image, as far as it can be built and run where there is no Docker engine."""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import re
import signal
import stat
import subprocess
import sys
import zipfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.brand_run import take_brand_through
from tests.support.image_build import ROOT, Build, context
from tests.support.picture_origin import serve_origin

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

LAYS_OUT = """
import numpy as np
from openTSNE import TSNE
points = np.random.default_rng(1).normal(size=(60, 8))
assert TSNE(perplexity=5, n_iter=20, n_jobs=1, random_state=1).fit(points).shape == (60, 2)
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("image")
    made = Build(context(folder / "context"), folder / "stages")
    (folder / "stages").mkdir()
    for stage in ("dashboard", "compiled", "wheel", "build", "client"):
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
    places = [("build", "opt/triptych"), ("build", "data"), ("client", "opt/lambda")]
    for stage, place in places:
        for path in (build.root(stage) / place).rglob("*"):
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
    assert build.entry("lambda") == ["/opt/triptych/bin/python", "-m", "awslambdaric"]
    beside = f"import sys; sys.path.insert(0, {str(build.root('client') / 'opt' / 'lambda')!r})"
    wanted = "import awslambdaric; from triptych.aws_lambda.handlers import sweep"
    found = run(build.root("build"), "-c", f"{beside}; {wanted}")
    assert found.returncode == 0, found.stderr
    alone = run(build.root("build"), "-c", "import awslambdaric")
    assert alone.returncode != 0, "the service does without it"


def test_the_embedded_postgres_is_left_out_and_its_absence_is_told(build: Build) -> None:
    root = build.root("build")
    names = {
        path.name.lower() for path in (root / "opt" / "triptych").glob("lib/*/site-packages/*")
    }
    assert not [name for name in names if "pgserver" in name]
    # As a container that was given no database: its data folder cannot be written.
    refused = run(root, str(root / "opt" / "triptych" / "bin" / "triptych"), "worker", "gather")
    assert refused.returncode != 0
    assert "no embedded Postgres here" in refused.stderr
    assert "Set TRIPTYCH_DATABASE_URL" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_what_is_compiled_brings_its_libraries_and_runs_on_any_processor(
    build: Build, tmp_path: Path
) -> None:
    (wheel,) = (build.root("compiled") / "dist" / "wheels").glob("opentsne-*.whl")
    assert "manylinux" in wheel.name, "its libraries would have to be in the image"
    with zipfile.ZipFile(wheel) as parts:
        assert [name for name in parts.namelist() if "libgomp" in name]
        parts.extractall(tmp_path)
    compiled = [str(path) for path in tmp_path.rglob("*.so")]
    assert len(compiled) >= 3
    if platform.machine() == "x86_64":
        shown = subprocess.run(
            ["objdump", "--disassemble", *compiled],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        # Registers of 256 bits: no processor of the baseline (x86-64) has them.
        assert "%xmm" in shown.stdout
        assert "%ymm" not in shown.stdout, "compiled for the builder's own processor"
    laid_out = run(build.root("build"), "-c", LAYS_OUT)
    assert laid_out.returncode == 0, laid_out.stderr


def test_what_is_sent_to_the_engine_is_what_the_image_needs(build: Build, tmp_path: Path) -> None:
    sent = context(tmp_path)
    names = {path.relative_to(sent).parts[0] for path in sent.rglob("*")}
    assert {"src", "dashboard", "requirements", "docs", "pyproject.toml", "hatch_build.py"} <= names
    assert not {"tests", "infra", "scripts", "deploy", "bench", "evals", "demo", ".venv"} & names
    assert {path.name for path in (sent / "docs").rglob("*.*")} == {"openapi.json", "failures.md"}


ROLES = ("api", "live", "worker gather", "worker acquire", "worker ai", "migrate")
READY_S = 120.0
PICTURES = 12


def containers(build: Build, **told: str) -> dict[str, str]:
    """The environment of a container of this image, in place of its own."""
    root = build.root("build")
    given = {f"TRIPTYCH_{name.upper()}": value for name, value in told.items()}
    return {
        "HOME": "/nonexistent",
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "TRIPTYCH_DATA": str(root / "data"),
        **given,
    }


def program(build: Build) -> list[str]:
    root = build.root("build")
    return [str(root / "opt" / "triptych" / "bin" / name) for name in ("python", "triptych")]


@asynccontextmanager
async def role(
    build: Build, env: dict[str, str], *words: str, heard: bool = False
) -> AsyncIterator[Process]:
    """A role's process, which ends as its container is ended; ``heard`` if what it says is read."""
    process = await asyncio.create_subprocess_exec(
        *program(build), *words, env=env, cwd="/tmp", stderr=PIPE if heard else None
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), READY_S)


async def address(process: Process, pattern: str) -> str:
    """Read what a server says of itself until it says where it is."""
    assert process.stderr is not None
    async with asyncio.timeout(READY_S):
        while line := (await process.stderr.readline()).decode():
            if found := re.search(pattern, line):
                return found[1]
    raise AssertionError("it ended before it said where it is")


@pytest.mark.parametrize("words", ROLES)
def test_every_role_starts_there(build: Build, words: str) -> None:
    shown = run(build.root("build"), program(build)[1], *words.split(" ")[:1], "--help")
    assert shown.returncode == 0, shown.stderr
    assert words.split(" ", maxsplit=1)[0] in shown.stdout


async def test_its_roles_take_a_brand_through_all_phases_on_a_given_postgres(
    build: Build, fresh_dsn: str, tmp_path: Path
) -> None:
    env = containers(
        build,
        database_url=fresh_dsn,
        store_url=f"file://{tmp_path}/objects",
        sealing_key="for-trying-things-32-characters-or-more",
        fetch_allow="127.0.0.0/8",
        api_port="0",
    )
    async with AsyncExitStack() as stack:
        migrate = await stack.enter_async_context(role(build, env, "migrate"))
        assert await asyncio.wait_for(migrate.wait(), READY_S) == 0
        for phase in ("gather", "acquire", "ai"):
            await stack.enter_async_context(role(build, env, "worker", phase))
        live = await stack.enter_async_context(role(build, env, "live", "--port", "0", heard=True))
        api = await stack.enter_async_context(role(build, env, "api", heard=True))
        url = await address(api, r"(http://127\.0\.0\.1:\d+)")
        socket = await address(live, r"(ws://127\.0\.0\.1:\d+/ws)")
        origin = await stack.enter_async_context(serve_origin())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with session.get(url) as page:
            assert "<script" in await page.text()
        async with session.ws_connect(socket, protocols=["triptych.v1"]) as listening:
            assert (await listening.receive_json(timeout=READY_S))["type"] == "hello"
        source = origin.source(PICTURES)
        ended = await take_brand_through(session, url, source, patience_s=READY_S)
        assert (ended["state"], ended["ai_state"]) == ("committed", "done"), ended
        assert ended["done"] == PICTURES


@pytest.mark.parametrize(
    ("lock", "architecture"),
    [
        *itertools.product(("image", "lambda", "compile"), ("x86_64", "aarch64")),
        ("gpu", "x86_64"),
    ],
)
def test_every_locked_package_has_a_wheel_for_its_architectures(
    lock: str, architecture: str, tmp_path: Path
) -> None:
    uv = Path(sys.executable).with_name("uv")
    resolved = subprocess.run(
        [
            *(str(uv), "pip", "install", "--dry-run", "--target", str(tmp_path)),
            *("--python-platform", f"{architecture}-manylinux_2_39", "--python-version", "3.13"),
            *("--only-binary", ":all:", "--require-hashes"),
            # The others are whole; this one leaves out what `onnxruntime-gpu` replaces.
            *(("--no-deps",) if lock == "gpu" else ()),
            *("-r", str(ROOT / "requirements" / f"{lock}.txt")),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert resolved.returncode == 0, resolved.stderr
