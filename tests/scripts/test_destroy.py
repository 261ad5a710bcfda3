"""`scripts/destroy.sh` removes what was made to try things, when it is told so twice."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import jmespath
import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {"CERTIFICATE": "arn:aws:acm:x", "DOMAIN": "triptych.example", "EMAIL": "ops@x.example"}
TOOL = """#!/usr/bin/env bash
printf '%s\\n' "$(basename "$0") $*" >> "$PLAYED/calls"
case "$*" in
    *describe-stack-resources*) printf 'objects\\taccess-logs\\n' ;;
    *list-object-versions*)
        # One page of the objects' bucket, then none; of the other one none at all.
        case "$*" in *access-logs*) echo '{"Objects": null, "Quiet": true}'; exit ;; esac
        [ -e "$PLAYED/listed" ] && { echo '{"Objects": [], "Quiet": true}'; exit; }
        touch "$PLAYED/listed"
        echo '{"Objects": [{"Key": "sha256/aa/x", "VersionId": "1"}], "Quiet": true}' ;;
    *delete-objects*) echo "${REFUSED:-None}" ;;
esac
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
    steps = [call.split() for call in calls if call.startswith("aws s3api")]
    assert [(step[2], step[step.index("--bucket") + 1]) for step in steps] == [
        ("list-object-versions", "objects"),
        ("delete-objects", "objects"),
        ("list-object-versions", "objects"),
        ("list-object-versions", "access-logs"),
    ]
    assert '"VersionId": "1"' in calls[[step[2] for step in steps].index("delete-objects") + 2]
    assert "cdk destroy" in calls[-1]
    assert "profile=dev" in calls[-1]


def test_a_version_that_may_not_be_deleted_ends_it_with_the_reason(tmp_path: Path) -> None:
    ended, calls = destroy(tmp_path, **GIVEN, CONFIRM="Triptych-dev", REFUSED="Access Denied")
    assert ended.returncode != 0
    assert "objects cannot be emptied: Access Denied" in ended.stderr
    assert not any("cdk destroy" in call for call in calls)


@pytest.mark.parametrize("listed", ["Versions", "DeleteMarkers", "both", "none"])
def test_versions_and_markers_are_deleted_whichever_there_are(listed: str) -> None:
    text = (ROOT / "scripts" / "destroy.sh").read_text()
    (query,) = re.findall(r"--query '(\{Objects.*?\})' ", text)
    one = {"Key": "sha256/aa/x", "VersionId": "1", "IsLatest": True}
    answer = {name: [one] for name in ("Versions", "DeleteMarkers") if listed in {name, "both"}}
    found = jmespath.search(query, answer)
    kept = {"Key": "sha256/aa/x", "VersionId": "1"}
    assert found == {"Objects": [kept] * len(answer) or None, "Quiet": True} or (
        listed == "none" and found == {"Objects": [], "Quiet": True}
    )


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
