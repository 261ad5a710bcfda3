"""The template: what is private, who may what, what scales, what is watched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cdk.assertions import Match

from infra.alarms import alarms_of
from infra.data import MAX_RECEIVES, QUEUES
from infra.functions import COMMIT_CONNECTIONS, CONNECTIONS
from infra.grants import CONTENT, EXPORTS, PROBE, ROOM, THUMBNAILS, UPLOADS
from infra.profiles import REPAIR_DAYS, Choices
from infra.services import DECODER_MIB, DECODER_POOLS, FIRST_KEY, SERVER_MIB, TOKEN_CHARS
from infra.sizes import HIDDEN_TIMES, SHAPES
from infra.tests.conftest import CONTEXT, Synthesised

POLICY = "AWS::IAM::Policy"
READ_ONLY = {"GetObject", "GetMetricData"}


def arns(value: Any) -> str:
    return json.dumps(value)


def statements(synthesised: Synthesised, part: str) -> list[dict[str, Any]]:
    """Return the statements of the role whose logical id has ``part`` in it."""
    found = []
    for properties in synthesised.of(POLICY).values():
        if any(part in json.dumps(role) for role in properties["Roles"]):
            found += properties["PolicyDocument"]["Statement"]
    assert found, part
    return found


def objects(synthesised: Synthesised, part: str, action: str) -> set[str]:
    """Return the keys and patterns of objects on which that role has the action."""
    found: set[str] = set()
    for statement in statements(synthesised, part):
        given = statement["Action"]
        if action in ([given] if isinstance(given, str) else given):
            resources = statement["Resource"]
            for each in resources if isinstance(resources, list) else [resources]:
                found.add(each["Fn::Join"][1][-1].removeprefix("/"))
    return found


def actions(synthesised: Synthesised, part: str) -> set[str]:
    found: set[str] = set()
    for statement in statements(synthesised, part):
        given = statement["Action"]
        found |= {given} if isinstance(given, str) else set(given)
    return found


def test_g8_the_apis_decoders_fit_beside_it(prod: Synthesised) -> None:
    containers = [
        container
        for task in prod.of("AWS::ECS::TaskDefinition").values()
        for container in task["ContainerDefinitions"]
        if container["Name"] == "api"
    ]
    assert [container["Memory"] for container in containers] == [
        SERVER_MIB + DECODER_POOLS * DECODER_MIB
    ]


@pytest.mark.parametrize("name", QUEUES)
def test_g3_each_queue_has_a_dead_letter_queue(prod: Synthesised, name: str) -> None:
    queues = prod.of("AWS::SQS::Queue")
    assert len(queues) == 2 * len(QUEUES)
    (queue,) = [q for q in queues.values() if q["QueueName"] == name]
    target = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert queue["RedrivePolicy"]["maxReceiveCount"] == MAX_RECEIVES
    assert queues[target]["QueueName"] == f"{name}-dlq"
    assert "FifoQueue" not in queue
    assert queue["SqsManagedSseEnabled"]


def test_the_api_and_live_status_have_their_paths(prod: Synthesised) -> None:
    prod.template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::ListenerRule",
        {
            "Conditions": [
                {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/ws", "/ws/*"]}}
            ],
            "Actions": [{"Type": "forward", "TargetGroupArn": Match.any_value()}],
        },
    )
    groups = prod.of("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert sorted(group["Port"] for group in groups.values()) == [8321, 8701]
    for group in groups.values():
        sticky = {a["Key"]: a["Value"] for a in group["TargetGroupAttributes"]}
        assert sticky["stickiness.enabled"] == "false"
        assert group["HealthCheckPath"] == "/healthz"
    listeners = prod.of("AWS::ElasticLoadBalancingV2::Listener").values()
    by_port = {listener["Port"]: listener for listener in listeners}
    assert by_port.keys() == {80, 443}
    assert by_port[80]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert "TLS" in by_port[443]["SslPolicy"]
    prod.template.has_resource_properties(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        {
            "LoadBalancerAttributes": Match.array_with(
                [{"Key": "idle_timeout.timeout_seconds", "Value": "120"}]
            )
        },
    )
    prod.template.resource_count_is("AWS::WAFv2::WebACLAssociation", 1)


def test_g9_buckets_are_private_and_content_has_no_blind_lifecycle(prod: Synthesised) -> None:
    buckets = prod.of("AWS::S3::Bucket").values()
    for bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert "BucketEncryption" in bucket
    (objects,) = [bucket for bucket in buckets if "LoggingConfiguration" in bucket]
    expiring = [r for r in objects["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in r]
    assert [rule["Prefix"] for rule in expiring] == ["exports/"]


@pytest.mark.parametrize("shape", ["prod", "dev"])
def test_g6_deleted_objects_can_be_brought_back_as_long_as_the_rows_that_name_them(
    request: pytest.FixtureRequest, shape: str
) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    (database,) = synthesised.of("AWS::RDS::DBInstance").values()
    for bucket in synthesised.of("AWS::S3::Bucket").values():
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        rules = bucket["LifecycleConfiguration"]["Rules"]
        (versions,) = [rule for rule in rules if "NoncurrentVersionExpiration" in rule]
        days = versions["NoncurrentVersionExpiration"]["NoncurrentDays"]
        assert days == database["BackupRetentionPeriod"] + REPAIR_DAYS > REPAIR_DAYS
        assert versions["Status"] == "Enabled"
        assert "Prefix" not in versions
        assert versions["ExpiredObjectDeleteMarker"] is True


@pytest.mark.parametrize("shape", ["prod", "dev"])
def test_g6_nobody_deletes_versions_and_one_task_reads_them(
    request: pytest.FixtureRequest, shape: str
) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    allowed: dict[str, set[str]] = {}
    for properties in synthesised.of(POLICY).values():
        for statement in properties["PolicyDocument"]["Statement"]:
            given = statement["Action"]
            for action in [given] if isinstance(given, str) else given:
                allowed.setdefault(action, set()).update(r["Ref"] for r in properties["Roles"])
    assert not {action for action in allowed if action.startswith("s3:DeleteObjectV")}
    assert not {action for action in allowed if "Lifecycle" in action or "PutBucket" in action}
    for action in ("s3:GetObjectVersion", "s3:ListBucketVersions"):
        (role,) = allowed[action]
        assert role.startswith("ServicesVerify")
    verify = "ServicesVerifyDefinitionTaskRole"
    assert objects(synthesised, verify, "s3:PutObject") == {CONTENT}
    assert objects(synthesised, verify, "s3:GetObjectVersion") == {CONTENT}
    assert objects(synthesised, verify, "s3:DeleteObject") == {THUMBNAILS}


def test_g9_the_database_is_private_encrypted_and_asks_for_tls(prod: Synthesised) -> None:
    (database,) = prod.of("AWS::RDS::DBInstance").values()
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"]
    assert database["EnableIAMDatabaseAuthentication"]
    assert database["MultiAZ"]
    assert database["DeletionProtection"]
    (parameters,) = prod.of("AWS::RDS::DBParameterGroup").values()
    assert parameters["Parameters"]["rds.force_ssl"] == "1"


def test_g9_whoever_uses_the_database_gets_its_sealing_key_by_name(prod: Synthesised) -> None:
    (name,) = [key for key in prod.of("AWS::SecretsManager::Secret") if "SealingKey" in key]
    generated = prod.of("AWS::SecretsManager::Secret")[name]["GenerateSecretString"]
    assert generated == {"ExcludePunctuation": True, "PasswordLength": 64}
    for definition in prod.of("AWS::ECS::TaskDefinition").values():
        for container in definition["ContainerDefinitions"]:
            environment = {e["Name"]: e["Value"] for e in container["Environment"]}
            assert environment["TRIPTYCH_SEALING_KEY"] == {"Ref": name}
    readers = {
        role["Ref"]
        for policy in prod.of("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == {"Ref": name}
        for role in policy["Roles"]
    }
    connecting = {
        role["Ref"]
        for policy in prod.of("AWS::IAM::Policy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "rds-db:connect"
        for role in policy["Roles"]
    }
    assert readers == connecting


def test_g9_containers_are_not_root_and_write_nowhere(prod: Synthesised) -> None:
    definitions = prod.of("AWS::ECS::TaskDefinition")
    assert len(definitions) == 7
    for definition in definitions.values():
        assert definition["NetworkMode"] == "awsvpc"
        for container in definition["ContainerDefinitions"]:
            assert container["User"] not in {"0", "root"}
            assert container["ReadonlyRootFilesystem"]
            assert container["LinuxParameters"]["Capabilities"]["Drop"] == ["ALL"]
            assert container["DockerSecurityOptions"] == ["no-new-privileges"]
            environment = {e["Name"]: e["Value"] for e in container["Environment"]}
            assert "PASSWORD" not in json.dumps(list(environment))
            assert "sslmode=verify-full" in json.dumps(environment["TRIPTYCH_DATABASE_URL"])


def test_g9_tasks_cannot_ask_for_the_credentials_of_their_host(prod: Synthesised) -> None:
    templates = prod.of("AWS::EC2::LaunchTemplate")
    assert len(templates) == 3
    for template in templates.values():
        given = json.dumps(template["LaunchTemplateData"]["UserData"])
        assert "ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config" in given
        options = template["LaunchTemplateData"]["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)


def test_g9_the_first_key_is_made_by_secrets_manager_and_in_no_log(prod: Synthesised) -> None:
    (migrate,) = [
        definition["ContainerDefinitions"][0]
        for name, definition in prod.of("AWS::ECS::TaskDefinition").items()
        if name.startswith("ServicesMigrate")
    ]
    given = {secret["Name"]: json.dumps(secret["ValueFrom"]) for secret in migrate["Secrets"]}
    assert "ServicesFirstKey" in given[FIRST_KEY]
    (made,) = [
        secret["GenerateSecretString"]
        for name, secret in prod.of("AWS::SecretsManager::Secret").items()
        if name.startswith("ServicesFirstKey")
    ]
    assert made == {"ExcludePunctuation": True, "PasswordLength": TOKEN_CHARS}
    steps = (Path(__file__).resolve().parents[2] / "scripts" / "deploy.sh").read_text()
    assert f'"--from-env", "{FIRST_KEY}"' in steps


def test_g9_what_the_firewall_blocks_is_logged_without_credentials(prod: Synthesised) -> None:
    (logging,) = prod.of("AWS::WAFv2::LoggingConfiguration").values()
    redacted = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"]}
    assert redacted == {"authorization", "cookie"}
    names = [group.get("LogGroupName") for group in prod.of("AWS::Logs::LogGroup").values()]
    assert "aws-waf-logs-triptych-prod" in names


@pytest.mark.parametrize("shape", ["prod", "dev"])
def test_new_code_starts_on_its_schema(request: pytest.FixtureRequest, shape: str) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    (api,) = [
        definition["ContainerDefinitions"]
        for name, definition in synthesised.of("AWS::ECS::TaskDefinition").items()
        if name.startswith("ServicesApi")
    ]
    (served,) = [container for container in api if container["Essential"]]
    (before,) = [container for container in api if not container["Essential"]]
    assert before["Command"] == ["migrate", "--skip-long"]
    assert before["Image"] == served["Image"]
    assert served["DependsOn"] == [{"Condition": "SUCCESS", "ContainerName": before["Name"]}]
    kinds = {"AWS::ECS::Service", "AWS::Lambda::Function"}
    waiting = {
        name: resource["DependsOn"]
        for name, resource in synthesised.json["Resources"].items()
        if resource["Type"] in kinds and name.startswith(("Services", "Workers", "Functions"))
    }
    assert len(waiting) == {"prod": 6, "dev": 7}[shape]
    for name, before_it in waiting.items():
        if not name.startswith("ServicesApi"):
            assert any(each.startswith("ServicesApiService") for each in before_it), name


def test_g9_each_role_may_do_what_its_process_does(prod: Synthesised) -> None:
    live = actions(prod, "ServicesLiveDefinitionTaskRole")
    assert live == {
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
        "cloudwatch:GetMetricData",
        "rds-db:connect",
        # The sealing key's, and no other.
        "secretsmanager:GetSecretValue",
        "secretsmanager:DescribeSecret",
    }
    api = actions(prod, "ServicesApiDefinitionTaskRole")
    assert "sqs:ReceiveMessage" not in api
    assert objects(prod, "ServicesApiDefinitionTaskRole", "s3:PutObject") == {
        PROBE,
        THUMBNAILS,
        UPLOADS,
    }
    assert objects(prod, "ServicesApiDefinitionTaskRole", "s3:DeleteObject") == {
        THUMBNAILS,
        UPLOADS,
    }
    for phase, queue in zip(("gather", "acquire", "ai"), QUEUES, strict=True):
        consuming = [
            arns(statement["Resource"])
            for statement in statements(prod, f"Workers{phase}DefinitionTaskRole")
            if "sqs:ReceiveMessage" in statement["Action"]
        ]
        (resources,) = consuming
        others = {name.replace("-", "") for name in QUEUES} - {queue.replace("-", "")}
        assert queue.replace("-", "") in resources
        assert all(f"Data{other}dlq" in resources for other in others)
        assert not any(
            f'"Data{other}' in resources.replace(f"Data{other}dlq", "") for other in others
        )


@pytest.mark.parametrize("shape", ["prod", "dev"])
def test_g9_objects_are_written_and_deleted_by_whoever_does_that(
    request: pytest.FixtureRequest, shape: str
) -> None:
    synthesised: Synthesised = request.getfixturevalue(shape)
    everything = {CONTENT, THUMBNAILS, EXPORTS, UPLOADS}
    collecting = everything if shape == "prod" else set()
    expected = {
        "gather": ({PROBE}, set()),
        "acquire": ({CONTENT}, {ROOM}),
        "ai": ({PROBE, EXPORTS}, collecting),
    }
    for phase, (written, deleted) in expected.items():
        role = {
            "prod": f"Workers{phase}DefinitionTaskRole",
            "dev": f"Functions{phase}ServiceRole",
        }[shape]
        assert objects(synthesised, role, "s3:GetObject") >= {CONTENT}, phase
        reads_uploads = UPLOADS in objects(synthesised, role, "s3:GetObject")
        assert reads_uploads == (phase == "gather"), phase
        assert objects(synthesised, role, "s3:PutObject") == written, phase
        assert objects(synthesised, role, "s3:DeleteObject") == deleted, phase
    sweep = "FunctionssweepServiceRole"
    assert objects(synthesised, sweep, "s3:PutObject") == {PROBE}
    assert objects(synthesised, sweep, "s3:DeleteObject") == everything


def test_no_policy_allows_everything(prod: Synthesised, dev: Synthesised) -> None:
    for synthesised in (prod, dev):
        for name, properties in synthesised.of(POLICY).items():
            for statement in properties["PolicyDocument"]["Statement"]:
                given = statement["Action"]
                for action in [given] if isinstance(given, str) else given:
                    assert not action.endswith(":*"), name
                    assert action != "*", name


def test_workers_scale_on_the_backlog_of_each_task_and_to_none(prod: Synthesised) -> None:
    tracking = [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for policy in prod.of("AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if policy["PolicyType"] == "TargetTrackingScaling"
    ]
    backlog = [t for t in tracking if "waiting" in str(t.get("CustomizedMetricSpecification"))]
    assert len(backlog) == 3
    for target in backlog:
        metrics = target["CustomizedMetricSpecification"]["Metrics"]
        assert [m["Id"] for m in metrics if m["ReturnData"]] == ["backlog"]
        assert {m["Id"] for m in metrics} == {"waiting", "held", "running", "backlog"}
    targets = prod.of("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert sorted(target["MinCapacity"] for target in targets) == [0, 0, 0, 2, 2]
    wakes = [
        alarm
        for alarm in prod.of("AWS::CloudWatch::Alarm").values()
        if "waiting > 0" in json.dumps(alarm.get("Metrics", []))
    ]
    assert len(wakes) == 3


def test_the_ai_phase_alone_is_not_on_spot(prod: Synthesised) -> None:
    services = prod.of("AWS::ECS::Service")
    assert len(services) == 5
    on_spot = {
        name
        for name, service in services.items()
        if "Spot" in json.dumps(service["CapacityProviderStrategy"])
    }
    assert {name[: len("Workersgather")] for name in on_spot} == {"Workersgather", "Workersacquir"}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.phase)
def test_g4_lambda_answers_by_message_and_within_caps(dev: Synthesised, shape: Any) -> None:
    mappings = dev.of("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 6
    (mapping,) = [
        m
        for m in mappings.values()
        if f"Data{shape.queue.replace('-', '')}" in json.dumps(m["EventSourceArn"])
        and "dlq" not in json.dumps(m["EventSourceArn"])
    ]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": shape.concurrency}
    function = dev.of("AWS::Lambda::Function")[mapping["FunctionName"]["Ref"]]
    assert function["Timeout"] == shape.timeout_s
    assert function["ImageConfig"]["Command"] == [f"triptych.aws_lambda.handlers.{shape.phase}"]
    (queue,) = [q for q in dev.of("AWS::SQS::Queue").values() if q["QueueName"] == shape.queue]
    assert queue["VisibilityTimeout"] == HIDDEN_TIMES * shape.timeout_s


def test_g8_all_functions_together_leave_the_database_connections() -> None:
    # A t4g.medium takes about 400. One more listens.
    each = CONNECTIONS + COMMIT_CONNECTIONS + 1
    assert sum(shape.concurrency * each for shape in SHAPES) < 300


def test_the_sweeper_is_on_a_schedule_in_both_shapes(prod: Synthesised, dev: Synthesised) -> None:
    for synthesised in (prod, dev):
        (rule,) = synthesised.of("AWS::Events::Rule").values()
        assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert not prod.of("AWS::Lambda::EventSourceMapping")
    assert len(dev.of("AWS::ECS::Service")) == 2


def test_alarms_watch_what_must_not_last(prod: Synthesised) -> None:
    alarms = prod.of("AWS::CloudWatch::Alarm")
    told = [name for name, alarm in alarms.items() if name.startswith("Watch")]
    assert len(told) == len(alarms_of("")) == 18
    assert all(alarms[name]["AlarmActions"] for name in told)
    metrics = {alarms[name].get("MetricName") for name in told}
    assert {
        "ApproximateAgeOfOldestMessage",
        "RunsStalled",
        "RunsHeld",
        "IndexLagSeconds",
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
        "CPUUtilization",
        "FreeStorageSpace",
    } <= metrics
    prod.template.resource_count_is("AWS::CloudWatch::Dashboard", 1)
    prod.template.resource_count_is("AWS::Budgets::Budget", 1)
    prod.template.has_output("Url", {"Value": "https://triptych.example"})


def test_every_alarm_has_a_runbook(prod: Synthesised) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "runbooks.md").read_text()
    sections = {
        line.removeprefix("## ").lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("## ")
    }
    alarms = [
        alarm["AlarmDescription"]
        for name, alarm in prod.of("AWS::CloudWatch::Alarm").items()
        if name.startswith("Watch")
    ]
    assert len(alarms) == len(alarms_of(""))
    for description in alarms:
        name, _, rest = description.partition(":")
        assert rest.rpartition("#")[2] in sections, description
        assert f"`{name}`" in text


def test_logs_are_kept_for_a_while_and_not_for_ever(prod: Synthesised) -> None:
    for group in prod.of("AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] == 90


@pytest.mark.parametrize("missing", sorted(CONTEXT))
def test_what_is_missing_is_named_with_its_remedy(missing: str) -> None:
    given = {name: value for name, value in CONTEXT.items() if name != missing}
    with pytest.raises(ValueError, match=f"{missing}: is missing; give .* -c {missing}="):
        Choices.read(given)


def test_a_token_without_an_origin_is_named_with_its_remedy() -> None:
    with pytest.raises(
        ValueError, match=r"source_token_for: is missing; give .* -c source_token_for="
    ):
        Choices.read({**CONTEXT, "source_token": "catalogue"})
    origin = "https://catalogue.example.com"
    choices = Choices.read({**CONTEXT, "source_token": "catalogue", "source_token_for": origin})
    assert (choices.source_token, choices.source_token_for) == ("catalogue", origin)


@pytest.mark.parametrize("workers", ["ecs", "lambda"])
def test_g9_gather_alone_reads_the_buckets_of_lists_and_no_others(
    tmp_path: Path, workers: str
) -> None:
    given = {"source_buckets": "s3://lists , s3://shared/team/triptych/"}
    synthesised = Synthesised(tmp_path, "dev", workers, {**CONTEXT, **given})
    listed = "s3://lists,s3://shared/team/triptych"
    gather = "Workersgather" if workers == "ecs" else "Functionsgather"
    text = {name: json.dumps(each) for name, each in synthesised.json["Resources"].items()}
    policies = {name for name in text if synthesised.json["Resources"][name]["Type"] == POLICY}
    reading = {name for name in policies if ":s3:::lists" in text[name]}
    assert len(reading) == 1
    assert all(name.startswith(gather) for name in reading)
    (policy,) = (synthesised.json["Resources"][name] for name in reading)
    (whole, prefix) = (
        statement
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if ":s3:::" in json.dumps(statement)
    )
    assert whole["Action"] == prefix["Action"] == "s3:GetObject"
    assert json.dumps(whole["Resource"]).count(":s3:::lists/*") == 1
    assert [
        json.dumps(each).partition(":s3:::")[2][: -len('"]]}')] for each in prefix["Resource"]
    ] == [
        "shared/team/triptych",
        "shared/team/triptych/*",
    ]
    told = {name for name in text if listed in text[name]}
    assert {name[:8] for name in told} == {"Services", gather[:8]}
    assert not any("Live" in name or "acquire" in name for name in told)


@pytest.mark.parametrize(
    "given",
    ["lists", "gs://lists", "s3://", "s3://LISTS", "s3://a/b/*", "s3://lists/../x", "s3://a?"],
)
def test_buckets_that_are_none_are_named(given: str) -> None:
    with pytest.raises(ValueError, match=r"source_buckets: .* is neither s3://BUCKET"):
        Choices.read({**CONTEXT, "source_buckets": f"s3://lists,{given}"})


def test_functions_are_given_no_token() -> None:
    token = {"source_token": "catalogue", "source_token_for": "https://catalogue.example.com"}
    with pytest.raises(ValueError, match="source_token: functions are given no secret"):
        Choices.read({**CONTEXT, **token, "workers": "lambda"})


def test_queues_the_default_source_and_a_restored_database_are_as_the_deployer_says(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    given = {
        "prefix": "team-a_",
        "source": "catalog:https://catalogue.example.com/urls",
        "database_resource": "db-RESTORED",
    }
    made = Synthesised(tmp_path_factory.mktemp("named"), "dev", "ecs", {**CONTEXT, **given})
    names = {queue["QueueName"] for queue in made.of("AWS::SQS::Queue").values()}
    assert names == {f"team-a_{name}{end}" for name in QUEUES for end in ("", "-dlq")}
    for definition in made.of("AWS::ECS::TaskDefinition").values():
        for container in definition["ContainerDefinitions"]:
            environment = {e["Name"]: e["Value"] for e in container["Environment"]}
            assert environment["TRIPTYCH_SOURCE"] == given["source"]
            assert json.dumps(environment["TRIPTYCH_QUEUE_URL"]).endswith('team-a_"')
    connecting = [
        json.dumps(statement["Resource"])
        for policy in made.of(POLICY).values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "rds-db:connect"
    ]
    assert len(connecting) == len(made.of("AWS::ECS::TaskDefinition")) + 1, "and the sweeper"
    assert not [each for each in connecting if ":dbuser:db-RESTORED/triptych" not in each]


@pytest.mark.parametrize("given", ["*", "db-*", "triptych-prod", "db-ABC/other"])
def test_a_database_that_policies_could_not_name_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"database_resource: .* is not a DbiResourceId"):
        Choices.read({**CONTEXT, "database_resource": given})


@pytest.mark.parametrize("prefix", ["a b", "a.", "x" * 41, "é"])
def test_a_prefix_that_queues_cannot_have_is_named(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix: "):
        Choices.read({**CONTEXT, "prefix": prefix})


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="profile: must be one of dev, prod"):
        Choices.read({**CONTEXT, "profile": "test"})


def test_images_are_built_as_linted_and_compose_is_valid() -> None:
    root = Path(__file__).resolve().parents[2]
    here = Path(sys.executable)
    for command in (
        [here.with_name("hadolint"), "Dockerfile"],
        [
            *(here.with_name("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"),
            "compose.yaml",
        ],
    ):
        found = subprocess.run(
            list(map(str, command)), cwd=root, capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout + found.stderr
