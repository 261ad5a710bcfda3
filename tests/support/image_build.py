"""The Dockerfile's steps, done without an engine: each stage in a folder in place of its root.

What is not done: the base images (this machine's Python and Node stand in for theirs), packages of
Debian, users, and what is fetched from AWS. uv installs what is locked: it has most of it already.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.image_context import context_files

ROOT = Path(__file__).resolve().parents[2]
STEP_S = 600.0
PLACES = re.compile(r"(?<![\w./])/(opt|src|dist|data)\b")
INSTALL = re.compile(r"(?<!\S)(?:python -m pip --python )?(\S+/python)(?: -m pip)? install(?=\s)")
SKIPPED = ("apt-get", "groupadd")


def context(folder: Path) -> Path:
    """Copy what `docker build` is sent: what git knows, less what .dockerignore names."""
    for name in context_files(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def _link(source: str, target: str) -> None:
    os.link(source, target, follow_symlinks=False)


class Build:
    """Does stages of the Dockerfile, one after another."""

    def __init__(self, sent: Path, folder: Path) -> None:
        self._sent = sent
        self._folder = folder
        self._left: dict[str, tuple[Path, dict[str, str]]] = {}
        """Each stage's working folder in its root, and its environment, for those built on it."""
        text = (ROOT / "Dockerfile").read_text()
        text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
        self._stages: dict[str, tuple[str, list[str]]] = {}
        for stage in re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]:
            first, *rest = [line.strip() for line in stage.splitlines() if line.strip()]
            source, _, name = first.split()[-3:]
            self._stages[name] = (source, rest)

    def root(self, stage: str) -> Path:
        """Return the folder in place of a stage's root."""
        return self._folder / stage

    def do(self, stage: str) -> Path:
        """Do a stage's steps; return its root.

        Raises:
            AssertionError: a step failed; with what it said.
        """
        root = self.root(stage)
        source, steps = self._stages[stage]
        if source in self._stages:
            # Linked: steps replace files, and change none in place.
            shutil.copytree(self.root(source), root, symlinks=True, copy_function=_link)
        root.mkdir(exist_ok=True)
        within, environment = self._left.get(source, (Path(), dict(os.environ)))
        for step in steps:
            word, _, rest = step.partition(" ")
            if word == "WORKDIR":
                within = Path(rest.strip("/"))
                (root / within).mkdir(parents=True, exist_ok=True)
            elif word == "ENV":
                environment = environment | dict(part.split("=", 1) for part in shlex.split(rest))
            elif word == "ARG":
                environment = environment | dict([rest.split("=", 1)])
            elif word == "COPY":
                self._copy(rest.split(), root, root / within)
            elif word == "RUN" and not any(each in rest for each in SKIPPED):
                self._run(rest, root, root / within, environment)
        self._left[stage] = (within, environment)
        return root

    def _copy(self, words: list[str], root: Path, where: Path) -> None:
        source = self._sent
        if words[0].startswith("--from="):
            source = self.root(words.pop(0).removeprefix("--from="))
        *names, last = words
        target = root / last.strip("/") if last.startswith("/") else where / last
        for name in names:
            found = source / name.strip("/")
            if found.is_dir():
                shutil.copytree(found, target, dirs_exist_ok=True, symlinks=True)
            else:
                into = target / found.name if last.endswith("/") else target
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, into)

    def _run(self, command: str, root: Path, where: Path, environment: dict[str, str]) -> None:
        command = PLACES.sub(lambda place: f"{root}/{place[1]}", command)
        uv = Path(sys.executable).with_name("uv")
        command = INSTALL.sub(lambda found: f"{uv} pip install --python {found[1]}", command)
        # The base image's Python.
        command = re.sub(r"(?<![\w/])python(?= -m)", sys.executable, command)
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", command],
            cwd=where,
            env=environment,
            capture_output=True,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    def entry(self, stage: str) -> list[str]:
        """Return what a stage's container runs."""
        (line,) = [step for step in self._stages[stage][1] if step.startswith("ENTRYPOINT ")]
        words: list[str] = json.loads(line.removeprefix("ENTRYPOINT "))
        return words
