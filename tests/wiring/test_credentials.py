"""A role's credentials run out while a process lives: queues, objects and database take new ones.

The role is handed out as to an ECS task or an EKS pod: by an endpoint that the environment names.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aws_local.emulator import REGION

from triptych.database.rds import connection_arguments
from triptych.objects import open_store
from triptych.queues.sqs.sqs_client import AwsClient

pytestmark = pytest.mark.integration

LEFT_S = 60
"""Of the credentials given out: less than what any of the libraries waits for before it renews."""
PATIENCE_S = 30.0
SECRET = "the task's own"


class Role:
    """Hands out credentials, never the same twice, and takes requests signed with them."""

    def __init__(self) -> None:
        self.given = 0
        self.used: list[str] = []

    async def credentials(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == SECRET
        self.given += 1
        until = datetime.now(UTC) + timedelta(seconds=LEFT_S)
        return web.json_response(
            {
                "AccessKeyId": f"ASIA{self.given}",
                "SecretAccessKey": "secret",
                "Token": f"token-{self.given}",
                "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    async def service(self, request: web.Request) -> web.Response:
        signed = re.search(r"Credential=ASIA(\d+)/", request.headers["Authorization"])
        assert signed is not None
        assert request.headers["X-Amz-Security-Token"] == f"token-{signed[1]}"
        self.used.append(signed[1])
        if "X-Amz-Target" in request.headers:
            return web.json_response({"QueueUrl": "http://127.0.0.1/000000000000/queue"})
        return web.Response(status=404)


@pytest.fixture
async def role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Role]:
    made = Role()
    app = web.Application()
    app.router.add_get("/role", made.credentials)
    app.router.add_route("*", "/{rest:.*}", made.service)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    token = tmp_path / "token"
    token.write_text(SECRET)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{base}/role",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_ENDPOINT_URL": base,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    await runner.cleanup()


async def test_queues_are_asked_with_credentials_that_are_valid(role: Role) -> None:
    client = AwsClient("sqs", None)
    for _ in range(3):
        await client.call("get_queue_url", QueueName="queue")
    await client.close()
    assert len(set(role.used)) == len(role.used) == 3


async def test_objects_are_asked_for_with_credentials_that_are_valid(role: Role) -> None:
    store = open_store("s3://bucket", Path("unused"))
    # They are not renewed more often than a few times a second.
    async with asyncio.timeout(PATIENCE_S):
        while len(set(role.used)) < 3:
            assert not await store.exists("sha256/none")


async def test_each_database_token_is_made_with_valid_credentials(
    role: Role,
) -> None:
    token = connection_arguments("postgresql+iam://u@h/d?sslmode=verify-full")["password"]
    made = [parse_qs(urlsplit(f"https://{await token()}").query) for _ in range(3)]
    assert len({each["X-Amz-Credential"][0].partition("/")[0] for each in made}) == 3
    assert len({each["X-Amz-Security-Token"][0] for each in made}) == 3
