"""The Helm chart's way to a MongoDB for immediate reads: for its users, and off by itself."""

from __future__ import annotations

import json

import pytest

from tests.support.helm import (
    CHART,
    LEAST,
    Document,
    containers,
    environment,
    helm,
    merged,
    pods,
    render,
)
from triptych.messages import Phase

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("chart")]

USERS = {"api", *(f"worker-{phase.value}" for phase in Phase)}
READS: Document = {"reads": {"existingSecret": "the-mongodb"}}
EVERYTHING: Document = {
    "reads": {
        "existingSecret": "the-mongodb",
        "userSecret": "its-user",
        "caSecret": "its-authorities",
        "caKey": "bundle.pem",
        "certificateSecret": "our-certificate",
    }
}


def told(role: str, values: Document) -> dict[str, object]:
    """Return the settings of reads that all containers of a role have together."""
    found: dict[str, object] = {}
    for container in containers(pods(render(values))[role]):
        variables = environment(container).items()
        found |= {name: value for name, value in variables if "READS" in name}
    return found


def test_without_a_secret_there_is_nothing_of_it() -> None:
    text = json.dumps(render())
    assert "READS" not in text
    assert "reads-" not in text


def test_its_users_are_told_of_it_and_no_others() -> None:
    roles = pods(render(READS))
    assert roles.keys() > USERS
    for role in roles:
        address = {"secretKeyRef": {"name": "the-mongodb", "key": "reads-url"}}
        expected = {"TRIPTYCH_READS_URL": address} if role in USERS else {}
        assert told(role, READS) == expected, role


@pytest.mark.parametrize("role", sorted(USERS))
def test_files_are_mounted_where_settings_name_them(role: str) -> None:
    pod = pods(render(EVERYTHING))[role]
    assert told(role, EVERYTHING) == {
        "TRIPTYCH_READS_URL": {"secretKeyRef": {"name": "the-mongodb", "key": "reads-url"}},
        "TRIPTYCH_READS_USER": {"secretKeyRef": {"name": "its-user", "key": "username"}},
        "TRIPTYCH_READS_PASSWORD": {"secretKeyRef": {"name": "its-user", "key": "password"}},
        "TRIPTYCH_READS_CA": "/etc/triptych/reads-ca/bundle.pem",
        "TRIPTYCH_READS_CERTIFICATE": "/etc/triptych/reads-certificate/client.pem",
    }
    (container,) = pod["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    volumes = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
    for name, secret, path in (
        ("reads-ca", "its-authorities", "bundle.pem"),
        ("reads-certificate", "our-certificate", "client.pem"),
    ):
        assert mounts[name]["readOnly"] is True
        assert mounts[name]["mountPath"] == f"/etc/triptych/{name}"
        assert volumes[name]["secretName"] == secret
        assert volumes[name]["items"] == [{"key": path, "path": path}]
        # Of the group that the process is of, and of nobody else.
        assert volumes[name]["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_roles_that_do_not_use_it_mount_nothing_of_it() -> None:
    for role, pod in pods(render(EVERYTHING)).items():
        if role not in USERS:
            assert [volume["name"] for volume in pod["volumes"]] == ["tmp"], role


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"reads": {"url": "mongodb://me:hunter2@db"}}, "url"),
        ({"reads": {"existingSecret": "m", "key": "no key"}}, "/reads/key"),
        ({"settings": {"reads_user": "me"}}, "reads_user"),
        ({"secretSettings": {"reads_url": {"name": "m", "key": "k"}}}, "reads_url"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: Document, named: str) -> None:
    refused = helm("template", "triptych", str(CHART), values=merged(LEAST, values))
    assert refused.returncode != 0
    assert named in refused.stderr


def test_helm_finds_nothing_to_say() -> None:
    found = helm("lint", "--strict", str(CHART), values=merged(LEAST, EVERYTHING))
    assert found.returncode == 0, found.stdout
