"""`scripts/deploy.sh` does its steps in order; what it calls is played, and written down."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {"CERTIFICATE": "arn:aws:acm:x", "DOMAIN": "triptych.example", "EMAIL": "ops@x.example"}
TOOL = """#!/usr/bin/env bash
# Writes down how it was called, and answers as a deployment would.
set -euo pipefail
printf '%s\\n' "$(basename "$0") $*" >> "$PLAYED/calls"
case "$(basename "$0") $*" in
    npx*deploy*idle=true*) echo true > "$PLAYED/idle" ;;
    npx*deploy*) echo false > "$PLAYED/idle" ;;
    *describe-stacks*\'Idle\'*) cat "$PLAYED/idle" ;;
    *describe-stacks*) echo "out:$(sed -E "s/.*OutputKey=='([^']*)'.*/\\1/" <<< "$*")" ;;
    *run-task*) echo arn:task ;;
    *tasks-stopped*) [ "$(grep -c tasks-stopped "$PLAYED/calls")" -gt "${WAITS_IN_VAIN:-0}" ] ;;
    *describe-tasks*) echo "${TASK_ENDS_WITH:-0}" ;;
esac
"""


class Played:
    """A machine whose `aws`, `npm`, `npx` and `docker` only write down what they are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("aws", "npm", "npx", "docker"):
            tool = folder / name
            tool.write_text(TOOL)
            tool.chmod(0o755)

    def deploy(self, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Deploy; return how it ended and what was called."""
        (self.folder / "calls").write_text("")
        ended = subprocess.run(
            ["bash", str(ROOT / "scripts" / "deploy.sh")],
            env={
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "PLAYED": str(self.folder),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return ended, (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


def steps(calls: list[str]) -> list[str]:
    """Return what changes something: cdk's commands, and what tasks ran."""
    found = []
    for call in calls:
        if call.startswith("npx "):
            words = call.split()
            command = next(word for word in words if word in {"bootstrap", "deploy"})
            found.append(f"{command} idle" if "idle=true" in words else command)
        elif " run-task " in call:
            overrides = call.partition("--overrides ")[2].partition(" --capacity")[0]
            (container,) = json.loads(overrides)["containerOverrides"]
            found.append(" ".join(container["command"]))
    return found


def test_the_first_time_there_is_a_schema_and_a_key_before_services_start(played: Played) -> None:
    ended, calls = played.deploy(**GIVEN)
    assert ended.returncode == 0, ended.stderr
    assert steps(calls) == [
        "bootstrap",
        "deploy idle",
        "migrate",
        "keys create first --scope operator --from-env FIRST_KEY",
        "deploy",
    ]
    assert "--secret-id out:FirstKey" in ended.stdout
    assert calls[0].startswith("npm ci --prefix infra"), "the locked cdk, before it is used"
    assert not any("aws-cdk@" in call for call in calls)
    (task, *_) = [call for call in calls if " run-task " in call]
    for part in (
        "--cluster out:ClusterName",
        "--task-definition out:MigrateTask",
        "capacityProvider=out:SteadyProvider",
        "subnets=[out:MigrateSubnets],securityGroups=[out:MigrateSecurityGroup]",
    ):
        assert part in task
    assert "Point triptych.example to out:BalancerName; then: out:Url" in ended.stdout


def test_later_the_new_code_migrates_before_it_starts(played: Played) -> None:
    played.deploy(**GIVEN)
    ended, calls = played.deploy(**GIVEN, PROFILE="prod", AWS_REGION="eu-west-1")
    assert ended.returncode == 0, ended.stderr
    assert steps(calls) == ["bootstrap", "deploy", "migrate"], "long migrations come last"
    assert all("profile=prod" in call for call in calls if call.startswith("npx"))
    assert all("--region eu-west-1" in call for call in calls if call.startswith("aws"))


def test_a_task_that_runs_for_longer_than_one_wait_is_waited_for(played: Played) -> None:
    played.deploy(**GIVEN)
    ended, calls = played.deploy(**GIVEN, WAITS_IN_VAIN="3")
    assert ended.returncode == 0, ended.stderr
    assert sum("wait tasks-stopped" in call for call in calls) == 4


def test_what_is_said_of_sources_sign_in_and_traces_reaches_every_step(played: Played) -> None:
    said = {
        "SOURCE_TOKEN": "catalogue",
        "SOURCE_TOKEN_FOR": "https://catalogue.example.com",
        "SOURCE_BUCKETS": "s3://lists,s3://shared/triptych",
        "SOURCE": "catalog:https://catalogue.example.com/urls",
        "PREFIX": "team-a_",
        "OIDC_ISSUER": "https://idp.example",
        "OIDC_CLIENT_ID": "triptych",
        "OIDC_SECRET": "arn:aws:secretsmanager:eu-central-1:111111111111:secret:idp",
        "OPERATORS": "boss@example.org,sub:1",
        "TRACES": "true",
    }
    ended, calls = played.deploy(**GIVEN, **said)
    assert ended.returncode == 0, ended.stderr
    cdk = [call for call in calls if call.startswith("npx")]
    for name, value in said.items():
        assert all(f"-c {name.lower()}={value}" in call for call in cdk), name
    _, calls = played.deploy(**GIVEN)
    assert not any("source" in call or "oidc" in call for call in calls), "nothing empty is said"


def test_a_migration_that_fails_ends_the_deployment(played: Played) -> None:
    ended, calls = played.deploy(**GIVEN, TASK_ENDS_WITH="1")
    assert ended.returncode != 0
    assert "ended with 1; see its log group" in ended.stderr
    assert steps(calls) == ["bootstrap", "deploy idle", "migrate"]
    _, again = played.deploy(**GIVEN)
    assert steps(again)[1:3] == ["deploy idle", "migrate"]


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_what_is_missing_is_named_and_nothing_is_done(played: Played, missing: str) -> None:
    given = {name: value for name, value in GIVEN.items() if name != missing}
    ended, calls = played.deploy(**given)
    assert ended.returncode != 0
    assert f"Set {missing} to" in ended.stderr
    assert calls == []
