"""Packages with entry points, put where Python finds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from triptych.runtime.plug_ins import declared


def install(folder: Path, group: str, name: str, entry_points: str, module: str = "") -> None:
    """Put a package with these entry points and one module of its name into a folder."""
    _install(folder, name, f"[{group}]\n{entry_points}\n", module)


def install_groups(
    folder: Path, name: str, groups: Mapping[str, Mapping[str, str]], module: str
) -> None:
    """Put a package with entry points of several groups and one module into a folder."""
    points = [
        f"[{group}]\n" + "".join(f"{point} = {value}\n" for point, value in named.items())
        for group, named in groups.items()
    ]
    _install(folder, name, "".join(points), module)


def _install(folder: Path, name: str, entry_points: str, module: str) -> None:
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    (folder / f"{name}.py").write_text(module)
    declared.cache_clear()  # It may have been read without this package.
