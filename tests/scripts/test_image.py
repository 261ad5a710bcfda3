"""`scripts/image.sh` builds for both architectures; the engine that it calls is played."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
ENGINE = f"""#!/usr/bin/env bash
# Writes down how it was called, and leaves the digest of what it would have built.
set -euo pipefail
printf '%s\\n' "$@" > "$PLAYED/call"
while [ "$1" != --metadata-file ]; do shift; done
printf '{{\\n  "containerimage.digest": "{DIGEST}"\\n}}\\n' > "$2"
"""


class Played:
    """A small repository with the script, and a `docker` that only writes down its call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        (self.repository / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "image.sh", self.repository / "scripts")
        (self.repository / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
        (self.repository / ".gitignore").write_text("dist/\n")
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("-c", "user.name=T", "-c", "user.email=t@x", "commit", "--quiet", "-m", "All")
        engine = folder / "docker"
        engine.write_text(ENGINE)
        engine.chmod(0o755)

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def build(self, **told: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Build; return how it ended and the words that the engine was given."""
        ended = subprocess.run(
            ["bash", str(self.repository / "scripts" / "image.sh")],
            env={
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "PLAYED": str(self.folder),
                **told,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        call = self.folder / "call"
        return ended, call.read_text().splitlines() if call.exists() else []


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


def test_one_image_for_both_architectures_with_the_times_of_its_commit(played: Played) -> None:
    ended, call = played.build(IMAGE="registry.example/triptych", CACHE="registry.example/cache")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == f"registry.example/triptych:1.2.3@{DIGEST}"
    told = dict(itertools.pairwise(call))
    assert told["--platform"] == "linux/amd64,linux/arm64"
    assert told["--target"] == "service"
    assert f"SOURCE_DATE_EPOCH={played.git('log', '-1', '--format=%ct')}" in call
    assert "PACKAGES=image" in call
    assert told["--output"].endswith("push=true,rewrite-timestamp=true")
    assert told["--cache-from"] == "type=registry,ref=registry.example/cache"
    assert f"org.opencontainers.image.revision={played.git('rev-parse', 'HEAD')}" in call


def test_lambda_has_one_architecture_and_nothing_beside_it(played: Played) -> None:
    ended, call = played.build(IMAGE="r.example/t", TARGET="lambda", PLATFORMS="linux/arm64")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("r.example/t:1.2.3-lambda@")
    assert {"--provenance=false", "--sbom=false"} <= set(call)


def test_with_cuda_it_has_another_lock_and_another_name(played: Played) -> None:
    ended, call = played.build(IMAGE="r.example/t", PACKAGES="gpu", PLATFORMS="linux/amd64")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("r.example/t:1.2.3-gpu@")
    told = dict(itertools.pairwise(call))
    assert told["--platform"] == "linux/amd64"
    assert told["--metadata-file"] == "dist/image-service-gpu.json"
    assert "PACKAGES=gpu" in call


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "set IMAGE"),
        ({"IMAGE": "t", "TARGET": "lambda"}, "one platform for Lambda"),
        ({"IMAGE": "t", "TARGET": "servise"}, "TARGET must be service or lambda"),
        ({"IMAGE": "t", "PACKAGES": "cuda"}, "PACKAGES must be image or gpu"),
        ({"IMAGE": "t", "PACKAGES": "gpu"}, "PLATFORMS=linux/amd64 alone"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_built(
    played: Played, told: dict[str, str], said: str
) -> None:
    ended, call = played.build(**told)
    assert (ended.returncode, call) == (1, [])
    assert said in ended.stderr


def test_what_is_not_committed_is_not_built(played: Played) -> None:
    (played.repository / "new").touch()
    ended, call = played.build(IMAGE="t")
    assert (ended.returncode, call) == (1, [])
    assert "not committed" in ended.stderr
