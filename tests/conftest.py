"""What all tests share: the fixtures of `tests.support`."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.support")

pytest_plugins = [
    "tests.support.integration",
    "tests.support.postgres",
    "tests.support.aws",
    "tests.support.cli_process",
    "tests.support.picture_server",
]
