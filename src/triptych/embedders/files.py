"""Model files: located in packages without importing them, and written atomically."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from triptych.errors import ModelError


def package_file(package: str, name: str, *, sha256: str, project: str) -> Path:
    """Return the file ``name`` of an installed package, after checking its content.

    The package is located, not imported: an import may be slow or need missing dependencies.

    Args:
        package: the importable name.
        name: the file's path within it.
        sha256: the expected hash of its content, in hexadecimal.
        project: the requirement that provides the package.

    Raises:
        ModelError: it is missing or has other content.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"The package {project.partition('==')[0]} is not installed.",
            remedy=f"Install {project}, or name another model with TRIPTYCH_EMBEDDER.",
        )
    path = Path(spec.submodule_search_locations[0]) / name
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"The bundled file {name} cannot be read ({error}).") from error
    if digest != sha256:
        raise ModelError(
            f"The bundled file {name} is not the one known here.",
            remedy=f"Reinstall {project}.",
        )
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: no other process ever sees a part of it.

    Safe for concurrent processes: each writes its own temporary file and renames it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
