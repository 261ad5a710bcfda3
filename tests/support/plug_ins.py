"""Packages with entry points, put where Python finds them."""

from __future__ import annotations

from pathlib import Path

from triptych.runtime.plug_ins import declared


def install(folder: Path, group: str, name: str, entry_points: str, module: str = "") -> None:
    """Put a package with these entry points and one module of its name into a folder."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry_points}\n")
    (folder / f"{name}.py").write_text(module)
    declared.cache_clear()  # It may have been read without this package.
