"""What an engine is sent to build the image from: files that git knows, less .dockerignore."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

GIT_S = 60.0
ENGINE_FILES = ("Dockerfile", ".dockerignore")
"""What an engine reads from the context whether or not .dockerignore names it."""


def context_files(root: Path) -> list[str]:
    """Return the names of the files, sorted, relative to the repository's folder ``root``.

    Raises:
        subprocess.CalledProcessError: ``root`` is no repository.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        timeout=GIT_S,
    ).stdout.split("\0")
    rules = read_rules((root / ".dockerignore").read_text(encoding="utf-8"))
    kept = (
        name for name in filter(None, listed) if name in ENGINE_FILES or not is_ignored(name, rules)
    )
    return sorted(name for name in kept if (root / name).exists())


def read_rules(text: str) -> list[str]:
    """Return the rules of a .dockerignore, without its comments."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def is_ignored(name: str, rules: Sequence[str]) -> bool:
    """Tell whether rules of .dockerignore leave a file out; the last one that matches counts."""
    path = PurePosixPath(name)
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        places = [path, *path.parents]
        parts = path.parts if "**/" in rule else [str(place) for place in places]
        if any(fnmatch(part, pattern) for part in parts):
            ignored = not rule.startswith("!")
    return ignored
