"""`scripts/destroy.sh` removes what was made to try things, when it is told so twice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {"CERTIFICATE": "arn:aws:acm:x", "DOMAIN": "triptych.example", "EMAIL": "ops@x.example"}
TOOL = """#!/usr/bin/env bash
printf '%s\\n' "$(basename "$0") $*" >> "$PLAYED/calls"
case "$*" in *describe-stack-resources*) printf 'objects\\taccess-logs\\n' ;; esac
"""


def destroy(folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run it with tools that only write down how they are called."""
    for name in ("aws", "npm", "npx"):
        (folder / name).write_text(TOOL)
        (folder / name).chmod(0o755)
    (folder / "calls").write_text("")
    ended = subprocess.run(
        ["bash", str(ROOT / "scripts" / "destroy.sh")],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "PLAYED": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended, (folder / "calls").read_text().splitlines()


def test_buckets_are_emptied_before_the_stack_is_deleted(tmp_path: Path) -> None:
    ended, calls = destroy(tmp_path, **GIVEN, CONFIRM="Triptych-dev")
    assert ended.returncode == 0, ended.stderr
    emptied = [call.split()[3] for call in calls if call.startswith("aws s3 rm")]
    assert emptied == ["s3://objects", "s3://access-logs"]
    assert "cdk destroy" in calls[-1]
    assert "profile=dev" in calls[-1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "CONFIRM=Triptych-dev"),
        ({"CONFIRM": "yes"}, "CONFIRM=Triptych-dev"),
        ({"PROFILE": "prod", "CONFIRM": "Triptych-prod"}, "protects its database"),
    ],
)
def test_nothing_is_deleted_by_mistake(tmp_path: Path, given: dict[str, str], says: str) -> None:
    ended, calls = destroy(tmp_path, **GIVEN, **given)
    assert ended.returncode != 0
    assert says in ended.stderr
    assert calls == []
