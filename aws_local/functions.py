"""Lambda on this machine: AWS' own runtime client driven through the Runtime API, and a poller.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import base64
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any
from uuid import uuid4

import orjson
from aiohttp import web

from aws_local.child_server import HOST
from aws_local.emulator import REGION

ACCOUNT = "000000000000"
FRESH_S = 120.0
"""Until a new process must have asked for its first invocation."""
GRACE_S = 5.0
"""Over its timeout, until an invocation is given up by us: Lambda kills at the timeout itself."""


@dataclass(frozen=True)
class Answer:
    """What came of an invocation."""

    ok: bool
    body: Any
    seconds: float


class LambdaProcess:
    """One execution environment of a function: one invocation at a time, as in Lambda."""

    def __init__(
        self,
        handler: str,
        environment: Mapping[str, str],
        *,
        timeout_s: float,
        log: IO[bytes] | None = None,
    ) -> None:
        self._handler = handler
        self._environment = environment
        self._timeout_s = timeout_s
        self._log = log
        self._next: asyncio.Queue[tuple[str, bytes, float]] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[tuple[bool, Any]]] = {}
        self._runner: web.AppRunner | None = None
        self._process: Process | None = None
        self._ready = asyncio.Event()
        self.init_s = 0.0
        """Seconds from the process' start to its first question: Lambda's init phase."""

    async def __aenter__(self) -> LambdaProcess:
        """Start it, and wait until it is initialised."""
        app = web.Application(client_max_size=8 * 1024**2)
        base = "/2018-06-01/runtime"
        app.router.add_get(f"{base}/invocation/next", self._give)
        app.router.add_post(f"{base}/invocation/{{id}}/response", self._took)
        app.router.add_post(f"{base}/invocation/{{id}}/error", self._failed)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        begun = time.perf_counter()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "awslambdaric", self._handler),
            env={
                **self._environment,
                "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self._runner.addresses[0][1]}",
                "AWS_LAMBDA_FUNCTION_NAME": "triptych",
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
            },
            stdin=DEVNULL,
            stdout=self._log or DEVNULL,
            stderr=self._log or DEVNULL,
        )
        async with asyncio.timeout(FRESH_S):
            await self._ready.wait()
        self.init_s = time.perf_counter() - begun
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, without warning, as Lambda does."""
        assert self._process is not None
        assert self._runner is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._runner.cleanup()

    async def invoke(self, event: object, *, timeout_s: float | None = None) -> Answer:
        """Invoke it.

        Raises:
            TimeoutError: it did not answer before its deadline; Lambda would have killed it.
        """
        request = str(uuid4())
        within_s = timeout_s or self._timeout_s
        answer = self._answers[request] = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self._next.put_nowait((request, orjson.dumps(event), within_s))
        async with asyncio.timeout(within_s + GRACE_S):
            ok, body = await answer
        return Answer(ok, body, time.perf_counter() - begun)

    async def _give(self, _request: web.Request) -> web.Response:
        self._ready.set()
        request, event, within_s = await self._next.get()
        deadline = round((time.time() + within_s) * 1000)
        return web.Response(
            body=event,
            content_type="application/json",
            headers={
                "Lambda-Runtime-Aws-Request-Id": request,
                "Lambda-Runtime-Deadline-Ms": str(deadline),
                "Lambda-Runtime-Invoked-Function-Arn": (
                    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:triptych"
                ),
                "Lambda-Runtime-Trace-Id": "Root=1-0-0;Sampled=0",
            },
        )

    async def _took(self, request: web.Request) -> web.Response:
        return await self._done(request, ok=True)

    async def _failed(self, request: web.Request) -> web.Response:
        return await self._done(request, ok=False)

    async def _done(self, request: web.Request, *, ok: bool) -> web.Response:
        body = orjson.loads(await request.read())
        self._answers.pop(request.match_info["id"]).set_result((ok, body))
        return web.Response(status=202)


def sqs_event(queue: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the event in which Lambda hands over what ReceiveMessage gave."""
    return {"Records": [_record(queue, message) for message in messages]}


def _record(queue: str, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"dataType": value["DataType"]}
    if "StringValue" in value:
        found["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        found["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return found
