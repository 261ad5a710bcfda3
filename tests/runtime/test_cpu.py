"""Cores that may be used: affinity and quotas of control groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.runtime.cpu import POOLS, available_cores
from triptych.settings.settings import Settings
from triptych.wiring.models import embed_batch, embed_threads


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def groups(folder: Path, quotas: dict[str, str], own: str = "0::/a/b\n") -> tuple[Path, Path]:
    for name, quota in quotas.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "cpu.max").write_text(quota)
    (folder / "own").write_text(own)
    return folder / "own", folder


@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({}, 8),
        ({"a": "max 100000\n"}, 8),
        ({"a/b": "250000 100000\n"}, 2),
        ({"a": "400000 100000\n", "a/b": "max 100000\n"}, 4),
        ({".": "300000 100000\n", "a/b": "500000 100000\n"}, 3),
        ({"a/b": "50000 100000\n"}, 1),
        ({"a/b": "9900000 100000\n"}, 8),
        ({"a/b": "nonsense"}, 8),
        ({"a/b": "1 0"}, 8),
    ],
)
def test_the_least_of_affinity_and_quotas_counts(
    tmp_path: Path, quotas: dict[str, str], cores: int
) -> None:
    assert available_cores(*groups(tmp_path, quotas)) == cores


def test_without_control_groups_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "none", tmp_path) == 8
    assert available_cores(*groups(tmp_path, {}, "1:cpu:/x\n")) == 8


def test_auto_shares_the_cores_between_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.wiring.models.available_cores", lambda: 8)
    for workers, threads in [(1, 8), (2, 4), (3, 2), (20, 1)]:
        settings = Settings(workers=workers)
        assert (embed_threads(settings), embed_batch(settings)) == (threads, 4)
    fixed = Settings(embed_threads=3, embed_batch=5, workers=8)
    assert (embed_threads(fixed), embed_batch(fixed)) == (3, 5)


COMMAND = """
import sys
from triptych.cli.command_line import main
sys.argv = ["triptych", "--help"]
try:
    main()
except SystemExit:
    pass
"""
FUNCTION = "import triptych.aws_lambda.handlers"
POOLS_IN_USE = """
import json, sys
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info
json.dump({pool["internal_api"]: pool["num_threads"] for pool in threadpool_info()}, sys.stderr)
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("entry", "told", "threads"),
    [(COMMAND, {}, 1), (FUNCTION, {}, 1), (COMMAND, dict.fromkeys(POOLS, "3"), 3)],
)
def test_what_computes_uses_one_thread_unless_told(
    entry: str, told: dict[str, str], threads: int
) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in POOLS}
    ended = subprocess.run(
        [sys.executable, "-c", entry + POOLS_IN_USE],
        env={**inherited, **told},
        capture_output=True,
        check=True,
    )
    # OpenBLAS takes no more threads than there are cores.
    blas = min(threads, os.cpu_count() or 1)
    assert json.loads(ended.stderr) == {"openblas": blas, "openmp": threads}
