"""Nothing that was started outlives its starter, however that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process_tree import ProcessTree

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="the guard knows Linux' handles"),
]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
OWNER = """
import subprocess, sys
from aws_local.guard import Guard

gentle = "import time; time.sleep(600)"
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); "
with Guard(grace_s=0.5) as guard:
    for code in (gentle, stubborn + gentle):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        guard.watch(child.pid)
    child.stdout.readline()
    ended = subprocess.Popen(["true"])
    guard.watch(ended.pid)
    ended.wait()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [True, False])
def test_a_guard_ends_what_its_owner_leaves(killed: bool) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        processes = ProcessTree(owner.pid)
        assert len(processes.commands) == 3, "two children and the guard"
        if killed:
            owner.kill()
        else:
            assert owner.stdin is not None
            owner.stdin.close()
        assert processes.left(PATIENCE_S) == []
        processes.close()


@pytest.mark.prove
@pytest.mark.skipif(
    not (ROOT / "demo" / "node_modules" / ".ready").exists(), reason="the demo is not set up"
)
def test_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            env={**os.environ, "TRIPTYCH_DATA": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1"},
        )
    with demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if b"real brands" in line:
                break
        else:
            pytest.fail(f"the demo did not start: {log.read_text()}")
        processes = ProcessTree(demo.pid)
        assert any("postgres" in command for command in processes.commands)
        demo.kill()
        assert processes.left(PATIENCE_S) == []
        processes.close()
