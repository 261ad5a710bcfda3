"""Memory that may be used: the machine's, and the limits of control groups."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from triptych.runtime.memory import available_memory

MIB = 1024**2


@pytest.mark.parametrize(
    ("limits", "mib"),
    [
        ({"a": "max\n", "a/b": f"{64 * MIB}\n"}, 64),
        ({"a": f"{32 * MIB}\n", "a/b": f"{64 * MIB}\n"}, 32),
        ({".": f"{16 * MIB}\n"}, 16),
        ({"a": "nonsense", "a/b": "max"}, None),
        ({}, None),
    ],
)
def test_the_least_of_machine_and_limits_counts(
    tmp_path: Path, limits: dict[str, str], mib: int | None
) -> None:
    for name, limit in limits.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "memory.max").write_text(limit)
    (tmp_path / "own").write_text("0::/a/b\n")
    expected = psutil.virtual_memory().total if mib is None else mib * MIB
    assert available_memory(tmp_path / "own", tmp_path) == expected
