"""Files of models: located in packages without importing them, and written atomically."""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from triptych.errors import ModelError

ANOTHER_MODEL = "name another model with TRIPTYCH_EMBEDDER"


def package_file(
    package: str, name: str, *, sha256: str, project: str, otherwise: str = ANOTHER_MODEL
) -> Path:
    """Return the file ``name`` of an installed package, whose content must have a known hash.

    The package is located, not imported: importing may be slow, or need missing dependencies.

    Args:
        package: the importable name.
        name: the file's path within it.
        sha256: of its content, in hexadecimal.
        project: the requirement that provides the package.
        otherwise: the remedy besides installing it.

    Raises:
        ModelError: it is missing, or has another hash.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"The package {project.partition('==')[0]} is not installed.",
            remedy=f"Install {project}, or {otherwise}.",
        )
    path = Path(spec.submodule_search_locations[0]) / name
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"The bundled file {name} cannot be read ({error}).") from error
    if digest != sha256:
        raise ModelError(
            f"The bundled file {name} has an unexpected hash.",
            remedy=f"Reinstall {project}.",
        )
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that no other process ever sees part of it.

    Safe for several processes at once: each writes a file of its own and renames it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
