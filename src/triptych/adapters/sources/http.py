"""Requests to sources: guarded by their session, bounded, tried again while that may help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from triptych.errors import SourceRefused, SourceUnavailable
from triptych.fetch.client import parse_retry_after
from triptych.fetch.guard import refusal

TRIES = 5
BACKOFF_BASE_S = 0.25
BACKOFF_CAP_S = 8.0
WAIT_MAX_S = 20.0
"""A longer Retry-After is waited for in the queue, not here."""
REQUEST_DEADLINE_S = 60.0
REDIRECTS_MAX = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class TryAgain(Exception):
    """This request failed for now."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@asynccontextmanager
async def request(
    session: aiohttp.ClientSession, url: URL, *, headers: Mapping[str, str], deadline_s: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Yield a good answer of ``url``; redirects are followed, without ``headers`` to other hosts.

    Raises:
        TryAgain: a timeout, a broken connection, 429 or 5xx.
        SourceRefused: any other answer, or an address that is not public.
    """
    origin = url.origin()
    try:
        async with asyncio.timeout(deadline_s):
            for _ in range(REDIRECTS_MAX + 1):
                sent = headers if url.origin() == origin else {}
                async with session.get(url, headers=sent, allow_redirects=False) as response:
                    if response.status not in REDIRECTS or "Location" not in response.headers:
                        _check_status(response)
                        yield response
                        return
                    url = url.join(URL(response.headers["Location"]))
            raise SourceRefused(f"The source answers with more than {REDIRECTS_MAX} redirects.")
    except (aiohttp.InvalidURL, ValueError) as error:
        raise SourceRefused(f"The source's address is no URL ({error}).") from error
    except TimeoutError as error:
        message = f"no answer within {deadline_s:g} s"
        raise TryAgain(message) from error
    except (aiohttp.ClientError, OSError) as error:
        if (refused := refusal(error)) is not None:
            raise SourceRefused(
                f"The source is at an address that is not public ({refused}).",
                remedy="Allow its network with TRIPTYCH_FETCH_ALLOW.",
            ) from error
        raise TryAgain(str(error) or type(error).__name__) from error


def _check_status(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in {408, 425, 429} or status >= 500:
        asked = parse_retry_after(response.headers.get("Retry-After"))
        message = f"HTTP {status}"
        raise TryAgain(message, asked)
    raise SourceRefused(
        f"The source answers with HTTP {status}.",
        remedy="Check its URL, the brand's name and TRIPTYCH_SOURCE_TOKEN.",
    )


async def pause(attempt: int, error: TryAgain) -> None:
    """Wait before the next try, or give up.

    Raises:
        SourceUnavailable: the tries are used up, or the source asks for a long wait.
    """
    asked = error.retry_after_s
    if attempt >= TRIES or (asked is not None and asked > WAIT_MAX_S):
        raise SourceUnavailable(
            f"The source does not answer ({error}).", retry_after_s=asked
        ) from error
    delay = random.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**attempt))  # noqa: S311
    await asyncio.sleep(max(delay, asked or 0.0))
