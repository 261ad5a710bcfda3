"""The Helm chart, rendered by Helm: what it says is what the code takes."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.helm import (
    CHART,
    ENVIRONMENT,
    KEDA_SCHEMAS,
    LEAST,
    ROOT,
    Document,
    containers,
    environment,
    helm,
    merged,
    of_kind,
    pods,
    render,
)
from triptych.api.http.auth import PUBLIC
from triptych.messages import AI_QUEUE, GATHER_QUEUE, QUEUES, URL_QUEUE, Phase
from triptych.runtime.asgi_server import KEEP_ALIVE_S
from triptych.settings.settings import ENV_PREFIX, Settings
from triptych.wiring.server_decoders import POOLS, SERVER_BYTES, SERVER_DECODER_MAX_BYTES

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("chart")]

SQS: Document = {
    "queue": {"type": "sqs", "sqs": {"region": "eu-central-1", "prefix": "team-a_"}},
    "aws": {"region": "eu-central-1", "existingSecret": "the-aws-keys"},
}
WAYS: dict[str, Document] = {
    "pgmq": {},
    "sqs": SQS,
    "sqs by workload": merged(SQS, {"keda": {"awsIdentity": "workload"}}),
    "sqs by secret": merged(SQS, {"keda": {"awsIdentity": "secret"}}),
    "without KEDA": {"keda": {"enabled": False}, "networkPolicy": {"enabled": False}},
    "everything": {
        "image": {"digest": f"sha256:{'a' * 64}"},
        "imagePullSecrets": [{"name": "registry"}],
        "database": {"adminSecret": "the-administrator"},
        "keda": {"databaseSecret": "for-keda", "databaseKey": "url"},
        "store": {"endpoint": "http://minio.store:9000", "allowHttp": True},
        "settings": {
            "source": "https://lists.example/all.csv",
            "keep_snapshots": 5,
            "robots": True,
        },
        "secretSettings": {"source_token": {"name": "catalogue", "key": "token"}},
        "reads": {"existingSecret": "mongodb", "userSecret": "mongodb", "caSecret": "mongodb"},
        "ingress": {
            "enabled": True,
            "host": "triptych.example",
            "className": "nginx",
            "tlsSecret": "tls",
        },
        "networkPolicy": {"ingressFrom": [{"namespaceSelector": {}}]},
        "podAnnotations": {"team": "media"},
        "nodeSelector": {"kubernetes.io/arch": "arm64"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "api": {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:x"}}},
        "migrate": {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:y"}}},
    },
}
QUEUE_OF = {"gather": GATHER_QUEUE, "acquire": URL_QUEUE, "ai": AI_QUEUE}
KUBERNETES = ("1.30", "1.37")
MIB = 1024**2


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Document]]:
    return {name: render(values) for name, values in WAYS.items()}


def memory(container: Document) -> int:
    amount = container["resources"]["limits"]["memory"]
    return int(amount[:-2]) * {"Mi": MIB, "Gi": 1024 * MIB}[amount[-2:]]


@pytest.mark.parametrize("way", WAYS)
def test_helm_finds_nothing_to_say(way: str) -> None:
    found = helm("lint", "--strict", str(CHART), values=merged(LEAST, WAYS[way]))
    assert found.returncode == 0, found.stdout + found.stderr


def validated(version: str, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(str(ENVIRONMENT / "bin" / "kubernetes-validate"), "--strict"),
            *("--kubernetes-version", version),
            *map(str, files),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_all_of_it(
    version: str, rendered: dict[str, list[Document]], tmp_path: Path
) -> None:
    for name, documents in rendered.items():
        builtin = [each for each in documents if not each["apiVersion"].startswith("keda.sh/")]
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump_all(builtin))
    checked = validated(version, *sorted(tmp_path.glob("*.yaml")))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("INFO") > 100


def test_what_kubernetes_would_refuse_is_found(tmp_path: Path) -> None:
    broken = of_kind(render(), "Deployment")["triptych-api"]
    broken["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 5
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(broken))
    checked = validated(KUBERNETES[0], tmp_path / "broken.yaml")
    assert checked.returncode != 0
    assert "terminationGracePeriodSecond" in checked.stdout + checked.stderr


@pytest.mark.parametrize("way", WAYS)
def test_keda_takes_what_is_for_it(way: str, rendered: dict[str, list[Document]]) -> None:
    for document in rendered[way]:
        if document["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(document, KEDA_SCHEMAS[document["kind"]])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"settings": {"keep_snapshot": 5}}, "keep_snapshot"),
        ({"settings": {"database_url": "x"}}, "database_url"),
        ({"settings": {"source_token": "in plain text"}}, "source_token"),
        ({"secretSettings": {"keep_snapshots": {"name": "x", "key": "y"}}}, "keep_snapshots"),
        ({"drainSecond": 5}, "drainSecond"),
        ({"queue": {"type": "kafka"}}, "/queue/type"),
        ({"queue": {"type": "sqs"}}, "/queue/sqs/region"),
        ({"store": {"url": "file:///data"}}, "/store/url"),
        ({"image": {"digest": "sha256:abc"}}, "/image/digest"),
        ({"ingress": {"enabled": True}}, "/ingress/host"),
        ({"workers": {"ai": {"replicas": {"min": 0}}}}, "workers: one of them"),
        ({"workers": {"fetch": {}}}, "fetch"),
        (merged(SQS, {"aws": {"existingSecret": ""}, "keda": {"awsIdentity": "secret"}}), "aws."),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(values: Document, named: str) -> None:
    refused = helm("template", "triptych", str(CHART), values=merged(LEAST, values))
    assert refused.returncode != 0
    assert named in refused.stderr


@pytest.mark.parametrize("missing", LEAST)
def test_what_has_to_be_given_is_named(missing: str) -> None:
    given = {name: value for name, value in LEAST.items() if name != missing}
    refused = helm("template", "triptych", str(CHART), values=given)
    assert refused.returncode != 0
    assert f"/{missing}/" in refused.stderr


@pytest.mark.parametrize("way", WAYS)
def test_every_variable_is_a_setting_and_none_is_a_secret(
    way: str, rendered: dict[str, list[Document]]
) -> None:
    for role, pod in pods(rendered[way]).items():
        # A Service named triptych-api would give TRIPTYCH_API_PORT=tcp://10.0.0.1:8321.
        assert pod["enableServiceLinks"] is False, role
        for container in containers(pod):
            given = environment(container)
            ours = {n.removeprefix(ENV_PREFIX).lower() for n in given if n.startswith(ENV_PREFIX)}
            assert ours - {"admin_url"} <= Settings.model_fields.keys()
            for name in ours & Settings.model_fields.keys():
                if "SecretStr" in str(Settings.model_fields[name].annotation):
                    assert "secretKeyRef" in given[ENV_PREFIX + name.upper()], name
            told = {
                name.removeprefix(ENV_PREFIX).lower(): value
                for name, value in given.items()
                if name.startswith(ENV_PREFIX) and isinstance(value, str)
            }
            Settings.load(**told)
            assert given["TRIPTYCH_DATABASE_URL"]["secretKeyRef"]["name"] == "the-database"


def test_variables_of_stores_and_administrators_are_those_that_the_code_reads() -> None:
    every = render(WAYS["everything"])
    migrate = environment(pods(every)["migrate"]["initContainers"][0])
    assert migrate["TRIPTYCH_ADMIN_URL"]["secretKeyRef"]["name"] == "the-administrator"
    commands = (ROOT / "src" / "triptych" / "cli" / "machine_commands.py").read_text()
    assert '"TRIPTYCH_ADMIN_URL"' in commands
    worker = environment(pods(every)["worker-acquire"]["containers"][0])
    assert worker["AWS_ENDPOINT_URL_S3"] == "http://minio.store:9000"
    assert worker["AWS_ALLOW_HTTP"] == "true"
    assert worker["TRIPTYCH_KEEP_SNAPSHOTS"] == "5"
    assert worker["TRIPTYCH_ROBOTS"] == "true"
    assert worker["TRIPTYCH_SOURCE_TOKEN"] == {
        "secretKeyRef": {"name": "catalogue", "key": "token"}
    }


def test_each_pod_has_a_role_of_the_image() -> None:
    found = {role: containers(pod)[0]["args"] for role, pod in pods(render()).items()}
    assert found == {
        "api": ["api", "--json"],
        "live": ["live", "--json"],
        "migrate": ["migrate"],
        **{f"worker-{phase.value}": ["worker", phase.value, "--json"] for phase in Phase},
    }
    commands = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert [args for args in found.values() if f"\n## {args[0]}\n" not in commands] == []


@pytest.mark.parametrize("way", WAYS)
def test_g9_every_container_is_confined(way: str, rendered: dict[str, list[Document]]) -> None:
    user = re.search(r"(?m)^USER (\d+):\d+$", (ROOT / "Dockerfile").read_text())
    assert user is not None
    for role, pod in pods(rendered[way]).items():
        outer = pod["securityContext"]
        assert outer["runAsNonRoot"] is True
        assert outer["runAsUser"] == int(user[1])
        assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        # Secrets are mounted to be read: tests/deploy/test_chart_reads.py.
        written = [volume for volume in pod["volumes"] if "secret" not in volume]
        assert [list(volume) for volume in written] == [["name", "emptyDir"]]
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, role
            written = [each for each in container["volumeMounts"] if not each.get("readOnly")]
            assert written == [{"name": "tmp", "mountPath": "/tmp"}]
            requests, limits = (container["resources"][each] for each in ("requests", "limits"))
            # A limit of CPU would stop a process that the host has time for.
            assert requests["memory"] == limits["memory"]
            assert "cpu" in requests
            assert "cpu" not in limits


@pytest.mark.parametrize("drain", [20, 90, 600])
def test_a_pod_is_given_longer_than_its_process_needs(drain: int) -> None:
    documents = render({"drainSeconds": drain})
    for role, pod in pods(documents).items():
        if role == "migrate":
            continue
        (container,) = pod["containers"]
        assert environment(container)["TRIPTYCH_DRAIN_S"] == str(drain)
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
        # A worker drains and then ends one last receive, of 20 seconds at most on SQS.
        assert pod["terminationGracePeriodSeconds"] >= drain + sleep["seconds"] + 20, role


def test_probes_ask_what_servers_answer_without_a_key() -> None:
    for role, port in (("api", Settings().api_port), ("live", 8701)):
        (container,) = pods(render())[role]["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": port}]
        asked = {
            probe: container[f"{probe}Probe"]["httpGet"]["path"]
            for probe in ("startup", "liveness", "readiness")
        }
        assert asked == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
        assert set(asked.values()) <= PUBLIC
        assert of_kind(render(), "Service")[f"triptych-{role}"]["spec"]["ports"][0]["port"] == port
    live = (ROOT / "src" / "triptych" / "cli" / "server_commands.py").read_text()
    assert "8701" in live


def test_a_server_has_the_memory_that_its_decoders_may_take() -> None:
    (api,) = pods(render())["api"]["containers"]
    assert memory(api) >= SERVER_BYTES + POOLS * SERVER_DECODER_MAX_BYTES


@pytest.mark.parametrize("way", WAYS)
def test_selectors_select_one_deployment(way: str, rendered: dict[str, list[Document]]) -> None:
    documents = rendered[way]
    deployments = of_kind(documents, "Deployment")
    labels = {n: d["spec"]["template"]["metadata"]["labels"] for n, d in deployments.items()}
    selectors = [
        *((n, each["spec"]["selector"]["matchLabels"]) for n, each in deployments.items()),
        *((n, each["spec"]["selector"]) for n, each in of_kind(documents, "Service").items()),
        *(
            (n, each["spec"]["selector"]["matchLabels"])
            for n, each in of_kind(documents, "PodDisruptionBudget").items()
        ),
    ]
    assert len(selectors) == len(deployments) + 4
    for name, selector in selectors:
        selected = [other for other, has in labels.items() if selector.items() <= has.items()]
        assert selected == [name]


@pytest.mark.parametrize("way", WAYS)
def test_names_lead_somewhere(way: str, rendered: dict[str, list[Document]]) -> None:
    documents = rendered[way]
    deployments = of_kind(documents, "Deployment")
    accounts = of_kind(documents, "ServiceAccount")
    for role, pod in pods(documents).items():
        assert pod["serviceAccountName"] in accounts
        assert pod["serviceAccountName"].endswith(role), "each has an account of its own"
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for name, scaler in of_kind(documents, kind).items():
            assert scaler["spec"]["scaleTargetRef"]["name"] == name
            assert "replicas" not in deployments[name]["spec"], "a release would reset it"
    authentications = of_kind(documents, "TriggerAuthentication")
    for scaler in of_kind(documents, "ScaledObject").values():
        for trigger in scaler["spec"]["triggers"]:
            named = trigger.get("authenticationRef", {}).get("name")
            assert named is None or named in authentications


def test_network_policies_cover_every_pod_and_deny_metadata_services() -> None:
    documents = render()
    policies = of_kind(documents, "NetworkPolicy")
    covered = {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: policy["spec"]
        for policy in policies.values()
    }
    assert covered.keys() == pods(documents).keys()
    for role, policy in covered.items():
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert ("ingress" in policy) == (role in {"api", "live"}), role
        blocks = [to["ipBlock"] for rule in policy["egress"] for to in rule["to"]]
        assert {block["cidr"]: block["except"] for block in blocks} == {
            "0.0.0.0/0": ["169.254.169.254/32"],
            "::/0": ["fd00:ec2::254/128"],
        }


def test_workers_are_scaled_on_the_queues_that_the_code_has() -> None:
    for values, prefix in ((WAYS["pgmq"], ""), (SQS, "team-a_")):
        scaled = of_kind(render(values), "ScaledObject")
        assert scaled.keys() == {f"triptych-worker-{phase.value}" for phase in Phase}
        seen = set()
        for phase, queue in QUEUE_OF.items():
            (trigger,) = scaled[f"triptych-worker-{phase}"]["spec"]["triggers"]
            told = trigger["metadata"]
            if prefix:
                assert told["queueURL"] == prefix + queue
                assert told["scaleOnInFlight"] == "true"
            else:
                assert f"'{queue}'" in told["query"]
            seen.add(queue)
        assert seen == set(QUEUES)
    url = environment(pods(render(SQS))["api"]["containers"][0])["TRIPTYCH_QUEUE_URL"]
    assert url == "sqs://eu-central-1/team-a_"


def test_a_worker_is_asked_for_only_when_the_others_are_busy() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    settings = Settings()
    holds = {
        "gather": settings.gather_concurrency,
        "acquire": settings.acquire_prefetch,
        "ai": settings.ai_concurrency,
    }
    per = {phase: values["workers"][phase]["messagesPerReplica"] for phase in holds}
    assert per["acquire"] > holds["acquire"], "one worker would hold them all"
    assert per["gather"] <= holds["gather"]
    # A brand alone may have so many outstanding that it gets another.
    assert values["settings"]["dispatch_window"] >= 2 * per["acquire"]
    assert per["ai"] > holds["ai"]
    # The same as on ECS.
    sizes = "".join(path.read_text() for path in (ROOT / "infra").glob("*.py"))
    found = dict(re.findall(r'Size\("(\w+)", "[\w-]+", \d+, \d+, (\d+),', sizes))
    assert {phase: str(count) for phase, count in per.items()} == found


def test_the_schema_is_there_before_anything_else() -> None:
    documents = render()
    (job,) = of_kind(documents, "Job").values()
    account = of_kind(documents, "ServiceAccount")["triptych-migrate"]
    notes = [each["metadata"]["annotations"] for each in (job, account)]
    assert {note["helm.sh/hook"] for note in notes} == {"pre-install,pre-upgrade"}
    assert int(notes[1]["helm.sh/hook-weight"]) < int(notes[0]["helm.sh/hook-weight"])
    key = job["spec"]["template"]["spec"]["containers"][0]
    assert key["args"][:2] == ["keys", "create"]
    assert "FIRST_KEY" in key["args"]
    assert environment(key)["FIRST_KEY"]["secretKeyRef"]["name"] == "the-first-key"
    hooked = {"Job", "ServiceAccount"}
    others = [each for each in documents if each["kind"] not in hooked]
    assert not [each for each in others if "helm.sh/hook" in str(each["metadata"])]


def test_the_ingress_routes_as_the_balancer_does() -> None:
    (ingress,) = of_kind(render(WAYS["everything"]), "Ingress").values()
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    routed = {each["path"]: each["backend"]["service"]["name"] for each in paths}
    assert routed == {"/ws": "triptych-live", "/": "triptych-api"}
    assert {each["pathType"] for each in paths} == {"Prefix"}
    nginx = (ROOT / "deploy" / "alb.conf.template").read_text()
    assert "location = /ws {" in nginx
    annotations = ingress["metadata"]["annotations"]
    idle = annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]
    assert f"proxy_read_timeout {idle}s;" in nginx
    assert int(idle) < KEEP_ALIVE_S
    size = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert f"client_max_body_size {size};" in nginx
    api = environment(pods(render(WAYS["everything"]))["api"]["containers"][0])
    assert api["TRIPTYCH_ALLOWED_HOSTS"] == "triptych.example"


def test_an_image_is_named_by_its_digest_where_one_is_given() -> None:
    by_digest = containers(pods(render(WAYS["everything"]))["api"])[0]["image"]
    assert by_digest == f"registry.example/triptych@sha256:{'a' * 64}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert containers(pods(render())["api"])[0]["image"] == f"registry.example/triptych:{project}"
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == project


def test_values_and_their_schema_have_the_same_names() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(given: Any, described: Document, path: str) -> None:
        if not isinstance(given, dict) or described.get("additionalProperties") is not False:
            return
        optional = {"settings", "secretSettings"}
        if path.rsplit(".", maxsplit=1)[-1] not in optional:
            assert given.keys() == described["properties"].keys() - {"global"}, path
        for name, value in given.items():
            compare(value, described["properties"][name], f"{path}.{name}")

    compare(values, schema, "values")


async def test_kedas_query_counts_what_waits_and_what_is_worked_on(migrated_dsn: str) -> None:
    from triptych.database.session import Database

    scaled = of_kind(render(), "ScaledObject")["triptych-worker-acquire"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    database = Database(migrated_dsn)
    try:
        assert [tuple(row) for row in await database.fetch(query)] == [(0,)]
        for _ in range(3):
            await database.fetch("select pgmq.send($1, '{}'::jsonb)", URL_QUEUE)
        held = await database.fetch("select * from pgmq.read($1, 60, 1)", URL_QUEUE)
        assert len(held) == 1
        assert [tuple(row) for row in await database.fetch(query)] == [(3,)]
    finally:
        await database.close()
