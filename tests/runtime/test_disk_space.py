"""An error of a full disk is known by its number, wherever it stands in a chain of causes."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from triptych.runtime.disk_space import free_space, is_disk_full


def chained(first: Exception) -> Exception:
    error = RuntimeError("it did not work")
    error.__cause__ = first
    return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (RuntimeError("Unable to copy data: No space left on device (os error 28)"), True),
        (chained(OSError(errno.ENOSPC, "No space left on device")), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("Unable to open file (os error 13)"), False),
        (chained(ValueError("28")), False),
    ],
)
def test_a_full_disk_is_told_from_other_errors(error: Exception, full: bool) -> None:
    assert is_disk_full(error) is full


def test_a_circle_of_causes_ends() -> None:
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert not is_disk_full(first)


def test_what_is_free_is_said_and_a_missing_folder_is_no_error(tmp_path: Path) -> None:
    assert re.match(r"[\d,.]+ MiB of [\d,.]+.* are free$", free_space(tmp_path))
    assert "unknown" in free_space(tmp_path / "nowhere")
