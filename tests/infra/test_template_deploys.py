"""The synthesised template, deployed to the emulator as far as that goes."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from typing import Any

import pytest
from aws_local.emulator import REGION, Emulator
from aws_local.guard import ROOT
from aws_local.template import STRIPPED, strip

from tests.support.waiting import until
from triptych.messages import QUEUES, URL_QUEUE, Message, dead_letter_queue
from triptych.queues.sqs.sqs_client import AwsClient
from triptych.queues.sqs.sqs_queue import SqsQueue

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("template")]

SYNTH_S = 300.0
PATIENCE_S = 60.0
CONTEXT = {
    "profile": "dev",
    "workers": "ecs",
    "certificate": f"arn:aws:acm:{REGION}:111111111111:certificate/one",
    "domain": "triptych.example",
    "email": "ops@triptych.example",
    "region": REGION,
    "reads": "documentdb",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("cdk")
    subprocess.run(
        [ROOT / ".venv-infra" / "bin" / "python", "-m", "infra.app"],
        cwd=ROOT,
        check=True,
        timeout=SYNTH_S,
        capture_output=True,
        env={
            **os.environ,
            "CDK_OUTDIR": str(folder),
            "CDK_CONTEXT_JSON": json.dumps(CONTEXT),
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        },
    )
    found: dict[str, Any] = json.loads((folder / "Triptych-dev.template.json").read_text())
    return found


async def call(service: str, operation: str, **request: object) -> dict[str, Any]:
    client = AwsClient(service, REGION)
    try:
        return await client.call(operation, **request)
    finally:
        await client.close()


async def deploy(aws: Emulator, template: dict[str, Any]) -> dict[str, Any]:
    """Create the stack and return its description."""
    place = {"LocationConstraint": REGION}
    await call("s3", "create_bucket", Bucket="templates", CreateBucketConfiguration=place)
    await call(
        "s3", "put_object", Bucket="templates", Key="t.json", Body=json.dumps(template).encode()
    )
    await call(
        "cloudformation",
        "create_stack",
        StackName="triptych",
        TemplateURL=f"{aws.endpoint}/templates/t.json",
        Capabilities=["CAPABILITY_IAM"],
    )
    answer = await until(
        lambda: call("cloudformation", "describe_stacks", StackName="triptych"),
        lambda answer: not answer["Stacks"][0]["StackStatus"].endswith("IN_PROGRESS"),
        patience_s=PATIENCE_S,
    )
    return dict(answer["Stacks"][0])


async def test_the_template_deploys_and_its_queues_and_routes_are_there(
    aws: Emulator, template: dict[str, Any]
) -> None:
    fit, gone = strip(template)
    assert {kind for kind in gone.values() if not kind.startswith("Custom::")} <= STRIPPED.keys()
    assert len(fit["Resources"]) > len(gone)
    stack = await deploy(aws, fit)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")

    # Our own check asks for all queues and their redrive policies.
    queue = SqsQueue(region=REGION, prefix="")
    await queue.check()
    await queue.send(URL_QUEUE, [Message({"brand": "nike"})])
    (delivery,) = await queue.receive(URL_QUEUE, limit=1, visibility_s=60, wait_s=5)
    await queue.delete([delivery])
    names = {depth.queue for depth in await queue.depths()}
    assert names == {*QUEUES, *map(dead_letter_queue, QUEUES)}
    await queue.close()

    listeners = await _listeners()
    assert sorted(listener["Port"] for listener in listeners) == [80, 443]
    (secure,) = [listener for listener in listeners if listener["Port"] == 443]
    answer = await call("elbv2", "describe_rules", ListenerArn=secure["ListenerArn"])
    paths = [
        value
        for rule in answer["Rules"]
        for condition in rule["Conditions"]
        for value in condition.get("Values") or condition["PathPatternConfig"]["Values"]
    ]
    assert paths == ["/ws", "/ws/*"]

    clusters = (await call("ecs", "list_clusters"))["clusterArns"]
    services = [
        arn
        for cluster in clusters
        for arn in (await call("ecs", "list_services", cluster=cluster))["serviceArns"]
    ]
    assert (
        len(services) == Counter(r["Type"] for r in fit["Resources"].values())["AWS::ECS::Service"]
    )
    assert len(services) == 5


async def _listeners() -> list[dict[str, Any]]:
    (balancer,) = (await call("elbv2", "describe_load_balancers"))["LoadBalancers"]
    answer = await call("elbv2", "describe_listeners", LoadBalancerArn=balancer["LoadBalancerArn"])
    found: list[dict[str, Any]] = answer["Listeners"]
    return found


def test_what_is_stripped_is_covered_by_assertions(template: dict[str, Any]) -> None:
    tests = (ROOT / "infra" / "tests").glob("test_*.py")
    asserted = "".join(path.read_text() for path in tests)
    _, gone = strip(template)
    for kind in STRIPPED.keys() - {"AWS::CDK::Metadata"}:
        assert f'"{kind}"' in asserted, kind
    assert "AWS::SQS::Queue" not in gone.values()
