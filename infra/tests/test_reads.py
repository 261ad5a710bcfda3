"""Immediate reads: nothing without them; with them one database, and the ways to it of its users.

Who they are: the API reads, workers and the sweeper copy, and operators look on in `migrate`.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from infra.alarms import ALARMS, alarms_of
from infra.cluster import SPOT
from infra.data import PORT as POSTGRES_PORT
from infra.network import WEB_PORTS
from infra.profiles import DOCUMENTDB, EXTERNAL, POSTGRES, PROFILES, READS, Choices
from infra.reads import CA, EXTERNAL_PORTS, KEPT, PORT, USER
from infra.sizes import SIZES
from infra.tests.conftest import CONTEXT, ELSEWHERE, Synthesised

ARN = ELSEWHERE["reads_secret"]
PHASES = {size.phase for size in SIZES}
CONTAINERS = {"api", *(f"worker-{phase}" for phase in PHASES), "Migrate"}
"""Of `migrate`, that of the task of its own; the one before the API migrates and does no more."""
GROUPS = {"ServicesApi", *(f"Workers{phase}" for phase in PHASES), "Functionssweep"}
"""What begins the names of the security groups that are let in. `migrate` is of the API's."""


def containers(synthesised: Synthesised) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each container's name, its variables and what it takes from Secrets Manager."""
    for name, properties in synthesised.of("AWS::ECS::TaskDefinition").items():
        for container in properties["ContainerDefinitions"]:
            own = "Migrate" if name.startswith("ServicesMigrate") else container["Name"]
            settings = {each["Name"]: each["Value"] for each in container["Environment"]}
            secrets = {each["Name"]: each["ValueFrom"] for each in container.get("Secrets", ())}
            yield own, settings, secrets


def functions(synthesised: Synthesised) -> dict[str, dict[str, Any]]:
    """Return the variables of each of our functions, by its name."""
    return {
        name.removeprefix("Functions"): each["Environment"]["Variables"]
        for name, each in synthesised.of("AWS::Lambda::Function").items()
        if name.startswith("Functions")
    }


def address(value: Any) -> str:
    """Return an address in which what CloudFormation puts in is ``X``."""
    parts = value["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else "X" for part in parts)


def told(variables: dict[str, Any]) -> bool:
    """Return whether any of them is about reads."""
    return any("TRIPTYCH_READS" in name for name in variables)


def readers(synthesised: Synthesised, secret: str) -> set[str]:
    """Return the roles that may read a secret, by the text that names it."""
    return {
        role["Ref"]
        for policy in synthesised.of("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if "secretsmanager:GetSecretValue" in statement["Action"]
        and secret in json.dumps(statement["Resource"])
        for role in policy["Roles"]
    }


def let_in(synthesised: Synthesised) -> set[str]:
    """Return the security groups that are let in to DocumentDB's port."""
    rules = synthesised.of("AWS::EC2::SecurityGroupIngress").values()
    found = [rule for rule in rules if rule["FromPort"] == PORT]
    assert all(rule["ToPort"] == PORT and rule["IpProtocol"] == "tcp" for rule in found)
    assert {rule["GroupId"]["Fn::GetAtt"][0][:10] for rule in found} == {"ReadsGroup"}
    sources = [rule["SourceSecurityGroupId"]["Fn::GetAtt"][0] for rule in found]
    assert len(sources) == len(set(sources))
    return set(sources)


def test_without_them_there_is_nothing_of_them(prod: Synthesised, dev: Synthesised) -> None:
    for synthesised in (prod, dev):
        text = json.dumps(synthesised.json)
        assert "READS" not in text
        assert "DocDB" not in text
        assert str(PORT) not in text


def test_g9_the_cluster_is_private_encrypted_and_asks_for_tls(documentdb: Synthesised) -> None:
    (cluster,) = documentdb.of("AWS::DocDB::DBCluster").values()
    assert cluster["StorageEncrypted"] is True
    assert cluster["EngineVersion"] == "5.0.0"
    assert cluster["Port"] == PORT
    assert cluster["EnableCloudwatchLogsExports"] == ["audit"]
    ((name, group),) = documentdb.of("AWS::DocDB::DBClusterParameterGroup").items()
    assert cluster["DBClusterParameterGroupName"] == {"Ref": name}
    assert group["Family"] == "docdb5.0"
    assert group["Parameters"] == {"tls": "enabled", "audit_logs": "enabled"}
    (subnets,) = documentdb.of("AWS::DocDB::DBSubnetGroup").values()
    assert [each["Ref"][:23] for each in subnets["SubnetIds"]] == [
        "NetworkVpcdataSubnet" + n + "Su" for n in "123"
    ]
    own = documentdb.of("AWS::EC2::SecurityGroup")
    (beyond,) = [group for name, group in own.items() if name.startswith("ReadsGroup")]
    assert "SecurityGroupIngress" not in beyond
    assert all(each["CidrIp"] == "255.255.255.255/32" for each in beyond["SecurityGroupEgress"])


@pytest.mark.parametrize(
    ("shape", "profile"), [("documentdb", "prod"), ("trying_documentdb", "dev")]
)
def test_g6_it_is_kept_backed_up_and_deleted_as_the_database_is(
    request: pytest.FixtureRequest, shape: str, profile: str
) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    found = {}
    for kind in ("AWS::DocDB::DBCluster", "AWS::RDS::DBInstance"):
        (whole,) = [each for each in synthesised.json["Resources"].values() if each["Type"] == kind]
        properties = whole["Properties"]
        found[kind] = (
            properties["BackupRetentionPeriod"],
            properties.get("DeletionProtection", False),
            properties["CopyTagsToSnapshot"],
            whole["DeletionPolicy"],
            whole["UpdateReplacePolicy"],
        )
    first, second = found.values()
    assert first == second
    sizes = PROFILES[profile]
    instances = synthesised.of("AWS::DocDB::DBInstance").values()
    assert [each["DBInstanceClass"] for each in instances] == [
        f"db.{sizes.documentdb_class}"
    ] * sizes.documentdb_instances
    # No zone is missed where one may not be.
    assert (sizes.documentdb_instances > 1) == sizes.keep


def test_the_api_and_all_that_copies_is_let_in_and_nothing_else(
    documentdb: Synthesised, trying_documentdb: Synthesised
) -> None:
    groups = let_in(documentdb)
    assert len(groups) == len(GROUPS)
    assert all(any(group.startswith(name) for group in groups) for name in GROUPS), groups
    # Where functions work, the one that sweeps copies.
    groups = let_in(trying_documentdb)
    assert {re.match(r"(Services|Functions)[A-Za-z]{3}", each)[0] for each in groups} == {  # type: ignore[index]
        "ServicesApi",
        "Functionsswe",
    }
    assert len(groups) == 2
    for synthesised in (documentdb, trying_documentdb):
        out = synthesised.of("AWS::EC2::SecurityGroupEgress").values()
        leaving = {rule["GroupId"]["Fn::GetAtt"][0] for rule in out if rule["FromPort"] == PORT}
        assert leaving == let_in(synthesised)


def test_those_and_no_others_are_told_of_it(
    documentdb: Synthesised, trying_documentdb: Synthesised
) -> None:
    for synthesised, named in ((documentdb, CONTAINERS), (trying_documentdb, {"api", "Migrate"})):
        found = {name for name, settings, _ in containers(synthesised) if told(settings)}
        assert found == named
        assert {name for name, _, secrets in containers(synthesised) if told(secrets)} == named
        assert [name[:5] for name, each in functions(synthesised).items() if told(each)] == [
            "sweep"
        ]


def test_g9_the_address_asks_for_tls_for_the_primary_and_for_no_retried_writes(
    documentdb: Synthesised,
) -> None:
    ((cluster, _),) = documentdb.of("AWS::DocDB::DBCluster").items()
    (sweep,) = [each for each in functions(documentdb).values() if told(each)]
    given = [settings for _, settings, _ in containers(documentdb) if told(settings)]
    assert len(given) == len(CONTAINERS)
    for settings in (*given, sweep):
        url = settings["TRIPTYCH_READS_URL"]
        assert {"Fn::GetAtt": [cluster, "Endpoint"]} in url["Fn::Join"][1]
        parts = urlsplit(address(url))
        assert (parts.scheme, parts.netloc, parts.path) == ("mongodb", f"X:{PORT}", "/triptych")
        assert parse_qs(parts.query) == {
            "tls": ["true"],
            "replicaSet": ["rs0"],
            "readPreference": ["primary"],
            "retryWrites": ["false"],
        }
        # RDS' bundle has the authorities of DocumentDB, too.
        assert settings["TRIPTYCH_READS_CA"] == CA
        assert f"sslrootcert={CA}" in json.dumps(settings["TRIPTYCH_DATABASE_URL"])


def test_g9_its_password_is_made_by_secrets_manager_and_in_no_variable(
    documentdb: Synthesised,
) -> None:
    ((name, secret),) = [
        pair
        for pair in documentdb.of("AWS::SecretsManager::Secret").items()
        if pair[0].startswith("ReadsDocumentDb")
    ]
    made = secret["GenerateSecretString"]
    assert made["GenerateStringKey"] == "password"
    assert json.loads(made["SecretStringTemplate"]) == {"username": USER}
    # DocumentDB takes letters and digits for a user, and no /, " or @ in a password.
    assert USER.isalnum()
    excluded = set(made["ExcludeCharacters"])
    assert set('/"@:%?#[]&$`\\') <= excluded
    # A password of each kind is wanted, which Secrets Manager could not make of none.
    assert not made.get("ExcludePunctuation", False)
    left = "".join(sorted(set(string.punctuation) - excluded))
    assert left
    assert quote(left, safe="") == left
    (attachment,) = [
        key
        for key, each in documentdb.of("AWS::SecretsManager::SecretTargetAttachment").items()
        if each["TargetType"] == "AWS::DocDB::DBCluster" and each["SecretId"] == {"Ref": name}
    ]
    fields = {"TRIPTYCH_READS_USER": "username", "TRIPTYCH_READS_PASSWORD": "password"}
    for _, settings, secrets in containers(documentdb):
        assert not fields.keys() & settings.keys()
        if told(secrets):
            for setting, field in fields.items():
                assert secrets[setting] == {"Fn::Join": ["", [{"Ref": attachment}, f":{field}::"]]}
    (sweep,) = [each for each in functions(documentdb).values() if told(each)]
    assert not fields.keys() & sweep.keys()
    assert {sweep[f"{KEPT}{each}"]["Fn::Join"][1][1] for each in fields} == {
        ":username::",
        ":password::",
    }
    roles = readers(documentdb, attachment)
    # ECS fetches for its tasks, with roles of its own; the function does it with its own.
    assert {role for role in roles if "ExecutionRole" not in role} == {
        role for role in roles if role.startswith("Functionssweep")
    }
    assert len(roles) == len(CONTAINERS) + 1


def test_g9_an_address_elsewhere_is_a_secret_as_a_whole(external: Synthesised) -> None:
    assert not external.of("AWS::DocDB::DBCluster")
    for name, settings, secrets in containers(external):
        assert not told(settings), name
        expected = {"TRIPTYCH_READS_URL": ARN} if name in CONTAINERS else {}
        assert {key: each for key, each in secrets.items() if "READS" in key} == expected, name
    given = {name: each for name, each in functions(external).items() if told(each)}
    assert [name[:5] for name in given] == ["sweep"]
    (sweep,) = given.values()
    assert {key: each for key, each in sweep.items() if "READS" in key} == {
        f"{KEPT}TRIPTYCH_READS_URL": ARN
    }
    assert len(readers(external, ARN)) == len(CONTAINERS) + 1


def test_a_mongodb_elsewhere_is_reached_by_its_users_alone(external: Synthesised) -> None:
    first, last = EXTERNAL_PORTS
    reaching = set()
    for name, group in external.of("AWS::EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupEgress", ()):
            if rule.get("FromPort") not in {*WEB_PORTS, None} and rule["CidrIp"] == "0.0.0.0/0":
                assert (rule["FromPort"], rule["ToPort"]) == (first, last), name
                reaching.add(name)
    # With `egress=public` gather and acquire are of their hosts' groups.
    hosts = ("ClusterSpotHosts", "ClusterGpuHosts")
    for prefix in ("ServicesApi", "Workersai", *hosts, "Functionssweep"):
        assert sum(name.startswith(prefix) for name in reaching) == 1, prefix
    assert len(reaching) == 5
    assert first <= PORT <= last
    assert SPOT
    assert not first <= POSTGRES_PORT <= last


def test_who_else_is_to_be_let_in_finds_the_cluster(
    documentdb: Synthesised, prod: Synthesised
) -> None:
    ((cluster, _),) = documentdb.of("AWS::DocDB::DBCluster").items()
    outputs = {
        name: output["Value"]["Fn::GetAtt"]
        for name, output in documentdb.json["Outputs"].items()
        if name.startswith("Reads")
    }
    assert outputs["ReadsEndpoint"] == [cluster, "Endpoint"]
    assert outputs["ReadsSecurityGroup"][0].startswith("ReadsGroup")
    assert not any(name.startswith("Reads") for name in prod.json["Outputs"])


@pytest.mark.parametrize("reads", READS)
def test_alarms_are_there_for_what_is_deployed(request: pytest.FixtureRequest, reads: str) -> None:
    shape = {POSTGRES: "prod", DOCUMENTDB: "documentdb", EXTERNAL: "external"}[reads]
    synthesised: Synthesised = request.getfixturevalue(shape)
    names = {
        alarm["AlarmDescription"].partition(":")[0]: alarm
        for name, alarm in synthesised.of("AWS::CloudWatch::Alarm").items()
        if name.startswith("Watch")
    }
    assert names.keys() == alarms_of(reads).keys()
    assert ("reads-lag" in names) == bool(reads)
    assert sum(name.startswith("documentdb-") for name in names) == (
        4 if reads == DOCUMENTDB else 0
    )
    assert all(names[name]["Threshold"] == ALARMS[name].threshold for name in names)


def test_alarms_of_documentdb_look_at_its_cluster(documentdb: Synthesised) -> None:
    ((cluster, _),) = documentdb.of("AWS::DocDB::DBCluster").items()
    looked_at = {}
    for alarm in documentdb.of("AWS::CloudWatch::Alarm").values():
        name = str(alarm.get("AlarmDescription")).partition(":")[0]
        if name.startswith("documentdb-"):
            metrics = [
                m["MetricStat"]["Metric"] for m in alarm.get("Metrics", ()) if "MetricStat" in m
            ]
            for metric in metrics or [alarm]:
                assert metric["Namespace"] == "AWS/DocDB"
                dimension = {"Name": "DBClusterIdentifier", "Value": {"Ref": cluster}}
                assert metric["Dimensions"] == [dimension]
            looked_at[name] = {metric["MetricName"] for metric in metrics or [alarm]}
            below = alarm["ComparisonOperator"] == "LessThanThreshold"
            assert below == ALARMS[name].below
    assert looked_at == {
        "documentdb-cpu": {"CPUUtilization"},
        "documentdb-memory": {"FreeableMemory"},
        "documentdb-storage": {"FreeLocalStorage"},
        "documentdb-connections": {"DatabaseConnections", "DatabaseConnectionsLimit"},
    }


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"reads": "mongodb"}, "reads: must be documentdb or external, or left out for Postgres"),
        ({"reads": "external"}, "reads_secret: is missing; give the ARN of the secret"),
        ({"reads_secret": ARN}, "reads_secret: is for reads=external only; leave it out, or give"),
        (
            {"reads": "documentdb", "reads_secret": ARN},
            "reads_secret: is for reads=external only",
        ),
        (
            {**ELSEWHERE, "region": "eu-west-1"},
            "reads_secret: must be the ARN of a secret in eu-west-1, not its text",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(named)}"):
        Choices.read({**CONTEXT, **given})


def test_an_address_in_the_place_of_its_secret_is_not_repeated() -> None:
    wrong = {"reads": "external", "reads_secret": "mongodb+srv://me:hunter2@db.example/triptych"}
    with pytest.raises(ValueError, match=r"^reads_secret: must be the ARN") as caught:
        Choices.read({**CONTEXT, **wrong})
    assert "hunter2" not in str(caught.value)


def test_what_is_right_is_taken() -> None:
    assert Choices.read(CONTEXT).reads == ""
    assert Choices.read({**CONTEXT, "reads": "documentdb"}).reads == "documentdb"
    chosen = Choices.read({**CONTEXT, **ELSEWHERE, "workers": "lambda"})
    assert (chosen.reads, chosen.reads_secret) == ("external", ARN)
