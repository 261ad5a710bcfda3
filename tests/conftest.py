"""What all tests share: the fixtures of `tests.support`."""

from __future__ import annotations

import os
import sys

import pytest

from triptych.runtime.cpu import one_thread_each

# As the program does, before NumPy is loaded: scikit-learn starts a process to count cores if not.
one_thread_each()

# Tests start hundreds of processes. Where Python is asked not to keep compiled modules, each would
# compile the package again, which takes longer than all else that a command does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# readline sets them in the environment of pytest-xdist's workers. A console that is made then keeps
# that width, whatever a test's command is given.
for size in ("COLUMNS", "LINES"):
    os.environ.pop(size, None)

# Reading the text in a picture takes a quarter of a CPU second, and its model a second to load.
# Looking for people takes up to a fifth. Tests that are about either turn it on.
os.environ["TRIPTYCH_OCR"] = "false"
os.environ["TRIPTYCH_PEOPLE"] = "false"

pytest.register_assert_rewrite("tests.support")

pytest_plugins = [
    "tests.support.integration",
    "tests.support.postgres",
    "tests.support.aws",
    "tests.support.mongodb",
    "tests.support.cli_process",
    "tests.support.data_folder",
    "tests.support.picture_server",
    "tests.support.plain_logs",
    "tests.support.proof_size",
]
