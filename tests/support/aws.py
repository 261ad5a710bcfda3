"""AWS' services on loopback, one emulator a pytest process."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from aws_local.emulator import REGION, Emulator
from aws_local.guard import Guard

from triptych.queues.sqs.sqs_client import AwsClient


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """AWS' services on loopback, one a pytest process."""
    with (
        Guard() as guard,
        Emulator(tmp_path_factory.mktemp("emulator"), guard=guard) as started,
    ):
        yield started


@pytest.fixture
def aws(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The emulator, with an environment that leads AWS' libraries to it."""
    for name, value in emulator.environment.items():
        monkeypatch.setenv(name, value)
    return emulator


@pytest.fixture
async def bucket(aws: Emulator) -> str:
    """The address of a bucket that is the test's own."""
    name = f"bucket-{uuid4().hex}"
    client = AwsClient("s3", None)
    place = {"LocationConstraint": REGION}
    await client.call("create_bucket", Bucket=name, CreateBucketConfiguration=place)
    await client.close()
    return f"s3://{name}/some/prefix"


async def kept_secret(text: str) -> str:
    """Keep a text in Secrets Manager; return its ARN."""
    client = AwsClient("secretsmanager", REGION)
    made = await client.call("create_secret", Name=f"secret-{uuid4().hex}", SecretString=text)
    await client.close()
    return str(made["ARN"])
