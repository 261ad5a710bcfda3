"""Following redirects step by step, so that the address guard checks each of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from triptych.errors import PermanentItemError
from triptych.fetch.guard import AddressGuard
from triptych.fetch.web_url import resolve_location
from triptych.model import Reason

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """The response after all redirects."""

    url: URL
    """The URL of the final response."""
    response: aiohttp.ClientResponse


async def follow_redirects(
    url: URL,
    ask: Callable[[URL], Awaitable[aiohttp.ClientResponse]],
    *,
    guard: AddressGuard,
    redirects_max: int,
) -> Answer:
    """Request ``url`` and follow its redirects; return the first response that is no redirect.

    A redirect without a Location has no target, so it is the final response. The caller closes it
    (``async with answer.response``).

    Args:
        url: requested first. The caller decides whether the guard checks it: only a URL that a
            person wrote may contain credentials.
        ask: sends one request; it must not follow redirects itself.
        guard: checks the target of each redirect before it is requested.
        redirects_max: the most redirects to follow.

    Raises:
        PermanentItemError: `Reason.TOO_MANY_REDIRECTS`, or the guard's refusal.
        ValueError: a redirect's target is not a URL.
    """
    asked, again = {url}, False
    for _ in range(redirects_max + 1):
        response = await ask(url)
        location = response.headers.get("Location")
        if response.status not in REDIRECTS or location is None:
            return Answer(url, response)
        async with response:
            pass  # Its body is of no use; the connection is.
        url = resolve_location(location, url)
        guard.check_url(url)
        # Asked again all the same: some answer the second time.
        again = again or url in asked
        asked.add(url)
    hint = "; they lead back to a URL that was asked before: it may want a cookie" if again else ""
    detail = f"more than {redirects_max} redirects{hint}"
    raise PermanentItemError(Reason.TOO_MANY_REDIRECTS, detail)
