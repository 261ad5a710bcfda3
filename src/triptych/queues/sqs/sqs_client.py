"""One client of an AWS service, opened at its first use; its failures become Triptych's errors.

Region, credentials (renewed automatically: task role, web identity, instance profile) and endpoint
come from AWS's own chain of environment and files: ``AWS_REGION``, ``AWS_ENDPOINT_URL`` ….
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.loaders import Loader

from triptych.errors import QueueUnavailable

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 30
"""More than the longest long poll, which is 20 s."""
CONNECTIONS = 50
TRIES = 4
"""Attempts of one call, with botocore's jittered backoff in between."""

FAILURES = (ClientError, BotoCoreError, aiohttp.ClientError, OSError, TimeoutError)

_REMEDIES = {
    "AccessDenied": "Grant the role what docs/guides/aws.md lists.",
    "AccessDeniedException": "Grant the role what docs/guides/aws.md lists.",
    "InvalidClientTokenId": "The credentials are not valid; check the role or AWS_ACCESS_KEY_ID.",
    "ExpiredToken": "The credentials have expired; check the role.",
}


class AwsClient:
    """A client of one service, shared by the tasks of one event loop."""

    def __init__(self, service: str, region: str | None) -> None:
        self._service = service
        self._region = region
        self._stack: AsyncExitStack | None = None
        self._client: Any = None
        self._opening = asyncio.Lock()

    async def call(self, operation: str, **request: object) -> dict[str, Any]:
        """Call one operation, named as in botocore, and return its answer.

        Raises:
            ClientError, BotoCoreError, aiohttp.ClientError, OSError, TimeoutError: see `FAILURES`.
        """
        client = await self._open()
        answer: dict[str, Any] = await getattr(client, operation)(**request)
        return answer

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                stack = AsyncExitStack()
                self._client = await stack.enter_async_context(
                    _session().create_client(
                        self._service,
                        region_name=self._region,
                        config=AioConfig(
                            connect_timeout=CONNECT_TIMEOUT_S,
                            read_timeout=READ_TIMEOUT_S,
                            max_pool_connections=CONNECTIONS,
                            retries={"mode": "standard", "total_max_attempts": TRIES},
                            user_agent_appid="triptych",
                        ),
                    )
                )
                self._stack = stack
            return self._client

    async def close(self) -> None:
        """Close its connections. Safe to repeat."""
        async with self._opening:
            stack, self._stack, self._client = self._stack, None, None
        if stack is not None:
            await stack.aclose()


@lru_cache
def _loader() -> Loader:
    return Loader()


def _session() -> AioSession:
    """Return a session that reads its environment now; AWS's descriptions load once per process."""
    session = get_session()
    session.register_component("data_loader", _loader())
    return session


def error_code(error: Exception) -> str:
    """Return AWS's error code, without SQS's older prefix; the type if there is no code."""
    if isinstance(error, ClientError):
        code: str = error.response.get("Error", {}).get("Code", "")
        return code.rpartition(".")[2]
    return type(error).__name__


def unavailable(error: Exception) -> QueueUnavailable:
    """Return a failure as `QueueUnavailable`, with a remedy."""
    if isinstance(error, NoRegionError):
        return QueueUnavailable("No AWS region is set.", remedy="Set AWS_REGION.")
    if isinstance(error, NoCredentialsError):
        return QueueUnavailable(
            "There are no AWS credentials.",
            remedy="Give the process a role, or set AWS_ACCESS_KEY_ID.",
        )
    text = (str(error) or type(error).__name__).splitlines()[0]
    return QueueUnavailable(
        f"SQS failed ({text}).",
        remedy=_REMEDIES.get(error_code(error), "Work resumes when SQS answers again."),
    )
