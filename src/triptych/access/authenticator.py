"""Authentication of every request and every WebSocket: site, identity, rate.

It reads the ASGI scope only, so it serves HTTP and WebSocket apps alike. A token is sent in
``Authorization: Bearer …``. A browser's WebSocket cannot set headers, so it sends the subprotocol
``triptych.key.<token>`` along with the real one. Tokens are never part of a URL: URLs end up in
logs, histories and Referer headers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from triptych.access.host_policy import HostPolicy
from triptych.access.identity import LOCAL, Identity
from triptych.access.key_cache import ApiKeyCache
from triptych.access.rate_limiter import RateLimiter
from triptych.access.refusal_log import RefusalLog
from triptych.errors import TooManyRequests, TriptychError, Unauthenticated

KEY_SUBPROTOCOL = "triptych.key."
BALANCER_HEADER = b"x-amzn-oidc-data"
"""The header in which a load balancer names the user it has identified."""
NOWHERE = "nowhere"
"""Whose rate connections to unknown paths use up; no identity has this name."""
SAFE_METHODS = frozenset({"GET", "HEAD"})


def _now() -> datetime:
    return datetime.now(UTC)


class Tokens(Protocol):
    """Verifies a load balancer's tokens."""

    async def identify(self, token: str) -> Identity:
        """Return the identity in the token, or raise `Unauthenticated`."""
        ...


class Authenticator:
    """Authenticates requests. ``open``: a request without a token is `LOCAL`, with all scopes."""

    def __init__(
        self,
        sites: HostPolicy,
        keys: ApiKeyCache,
        rates: RateLimiter,
        *,
        open_: bool,
        balancer: Tokens | None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._sites = sites
        self._keys = keys
        self._rates = rates
        self._open = open_
        self._balancer = balancer
        self._now = now
        self.refusals = RefusalLog()

    async def admit(self, scope: Mapping[str, Any]) -> Identity:
        """Return the identity of a request.

        Raises:
            HostRefused, OriginRefused: it comes from another site's page or names another host.
            Unauthenticated: there is no token, or it is invalid or no longer valid.
            TooManyRequests: the identity exceeds its rate limit.
            Unavailable: the identity cannot be verified now.
        """
        identity = None
        try:
            headers = _headers(scope.get("headers", ()))
            self.check_site(scope, headers)
            identity = await self._identify(scope, headers)
            self._rates.take(identity.name)
        except TriptychError as error:
            self.refusals.note(error, scope, identity.name if identity else None)
            raise
        return identity

    async def still_admits(self, scope: Mapping[str, Any], name: str) -> bool:
        """Return whether a connection that was admitted as ``name`` would be again.

        False after its key was revoked, or its key or token has expired. Its rate is not counted.

        Raises:
            Unavailable: that cannot be found out now.
        """
        try:
            identity = await self._identify(scope, _headers(scope.get("headers", ())))
        except Unauthenticated:
            return False
        return identity.name == name

    def admit_anybody(self, scope: Mapping[str, Any]) -> None:
        """Admit any request under this server's name, for public content.

        Raises:
            HostRefused, OriginRefused: as `admit`.
        """
        try:
            self.check_site(scope, _headers(scope.get("headers", ())))
        except TriptychError as error:
            self.refusals.note(error, scope, None)
            raise

    def admit_nowhere(self, scope: Mapping[str, Any]) -> None:
        """Count a connection to a path where nothing is, whoever asks.

        Raises:
            TooManyRequests: there have been too many of all clients together.
        """
        try:
            self._rates.take(NOWHERE)
        except TooManyRequests as error:
            self.refusals.note(error, scope, None)
            raise

    def check_site(self, scope: Mapping[str, Any], headers: Mapping[bytes, str | None]) -> None:
        """Refuse requests from other sites' pages and for other hosts."""
        host = headers.get(b"host")
        self._sites.check_host(host)
        navigates = (
            scope["type"] == "http"
            and scope["method"] in SAFE_METHODS
            and headers.get(b"sec-fetch-mode") == "navigate"
        )
        self._sites.check_origin(
            headers.get(b"origin"), host, headers.get(b"sec-fetch-site"), navigates=navigates
        )

    async def _identify(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, str | None]
    ) -> Identity:
        token = _token(scope, headers)
        if token is not None:
            key = await self._keys.find(token)
            if key is None:
                raise Unauthenticated(
                    "This API key is not known, or it was revoked.",
                    remedy="Make one with `triptych keys create NAME`.",
                )
            if key.expires_at is not None and key.expires_at <= self._now():
                raise Unauthenticated(
                    f"This API key expired on {key.expires_at:%Y-%m-%d at %H:%M} UTC.",
                    remedy="Make a new one with `triptych keys create NAME`.",
                )
            return Identity(f"key:{key.name}", key.scope, key.brands, key.expires_at)
        if self._balancer is not None and (vouched := headers.get(BALANCER_HEADER)):
            if scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS:
                # The balancer knows the user by a cookie, which a browser sends for any page.
                self._sites.check_own_page(
                    *(headers.get(name) for name in (b"origin", b"host", b"sec-fetch-site"))
                )
            return await self._balancer.identify(vouched)
        if self._open:
            return LOCAL
        raise Unauthenticated(remedy="Send it as `Authorization: Bearer trk_…`.")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str | None]:
    """Return the headers; refuse a request that repeats a security-relevant one.

    Otherwise two servers might each trust a different one of the two.
    """
    found: dict[bytes, str | None] = {}
    for name, value in raw:
        if name in DECIDING and name in found:
            raise Unauthenticated(f"The header {name.decode('latin-1')} comes twice.")
        found[name] = value.decode("latin-1")
    return found


DECIDING = frozenset({b"host", b"origin", b"authorization", BALANCER_HEADER})


def _token(scope: Mapping[str, Any], headers: Mapping[bytes, str | None]) -> str | None:
    given = headers.get(b"authorization")
    if given is not None:
        kind, _, token = given.partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise Unauthenticated(
                "The Authorization header is not a bearer token.",
                remedy="Send `Authorization: Bearer trk_…`.",
            )
        return token.strip()
    for protocol in scope.get("subprotocols") or ():
        if protocol.startswith(KEY_SUBPROTOCOL):
            return str(protocol.removeprefix(KEY_SUBPROTOCOL))
    return None
