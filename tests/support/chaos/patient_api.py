"""Requests to an API that is killed, restarted and cut off: asked again until it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aiohttp

ANSWER_S = 10.0
AGAIN_S = 0.2
PATIENCE_S = 120.0
PREFIX = "/api/v1"


class Away(Exception):
    """No answer, or one that asks to come again."""


class Refusal(Exception):
    """An answer that nothing explains."""


class PatientApi:
    """A client that knows that an answer may be missing, and nothing else."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def once(self, method: str, path: str, **request: Any) -> Any:
        """Ask once; return the JSON, or None for 404.

        Raises:
            Away: there is no answer just now.
            Refusal: the answer is none that an outage explains.
        """
        try:
            async with self._session.request(
                method, f"{self._url}{PREFIX}{path}", **request
            ) as answer:
                if answer.status in {200, 202}:
                    return await answer.json()
                said = (await answer.text())[:300]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Away(str(error)) from error
        if answer.status == 404:
            return None
        # 409: the first request with the key is still in progress.
        if answer.status in {409, 429, 502, 503, 504}:
            raise Away(said)
        raise Refusal(f"{method} {path}: {answer.status} {said}")

    async def ask(self, method: str, path: str, **request: Any) -> Any:
        """Ask until there is an answer.

        Raises:
            Refusal: as `once`.
            TimeoutError: none came within `PATIENCE_S`.
        """
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.once(method, path, **request)
                except Away:
                    await asyncio.sleep(AGAIN_S)

    async def start(self, brand: str, source: str) -> UUID:
        """Start a run, once, however often it has to be asked for; return its id."""
        headers = {"Idempotency-Key": str(uuid4())}
        body = {"source": source}
        task = await self.ask("POST", f"/brands/{brand}/runs", json=body, headers=headers)
        return UUID(task["run"])


@asynccontextmanager
async def open_patient_api(url: str, key: str | None) -> AsyncIterator[PatientApi]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield PatientApi(session, url)
