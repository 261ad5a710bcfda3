"""Following redirects: step by step, so that the address guard is asked about each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from triptych.errors import PermanentItemError
from triptych.fetch.guard import AddressGuard
from triptych.model import Reason

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a URL answered after all redirects."""

    url: URL
    """That answered in the end."""
    response: aiohttp.ClientResponse


@asynccontextmanager
async def follow_redirects(
    url: URL,
    ask: Callable[[URL], AbstractAsyncContextManager[aiohttp.ClientResponse]],
    *,
    guard: AddressGuard,
    redirects_max: int,
) -> AsyncIterator[Answer]:
    """Ask ``url`` and then where it redirects to; yield the first answer that is no redirect.

    A redirect without a Location leads nowhere, so it is the answer.

    Args:
        url: asked first. The caller decides whether the guard is asked about it, too: only what a
            person wrote may have credentials in it.
        ask: sends one request; it must not follow redirects itself.
        guard: asked about the target of each redirect before that is asked.
        redirects_max: followed at most.

    Raises:
        PermanentItemError: `Reason.TOO_MANY_REDIRECTS`, or what the guard refuses.
        ValueError: a redirect leads to what is no URL.
    """
    for _ in range(redirects_max + 1):
        async with ask(url) as response:
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                yield Answer(url, response)
                return
        url = url.join(URL(location))
        guard.check_url(url)
    raise PermanentItemError(Reason.TOO_MANY_REDIRECTS, f"more than {redirects_max} redirects")
