"""Identities that a load balancer has authenticated: the JWT in ``x-amzn-oidc-data``.

The balancer signs (ES256) the identity from its OIDC provider. A client that bypasses the balancer
could send the header too, so everything is checked: signature, signer, issuer, client, expiry. The
balancer's key is fetched through the address guard and cached.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from triptych.access.access_store import Scope
from triptych.access.identity import Identity
from triptych.errors import Unauthenticated, Unavailable
from triptych.fetch.web_url import parse_web_url
from triptych.runtime.token_bucket import TokenBucket

TOKEN_MAX_CHARS = 16 * 1024
ALGORITHM = "ES256"
KEY_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
"""A key id becomes part of a URL, so no other characters are allowed."""
KEY_MAX_BYTES = 4096
KEY_TIMEOUT_S = 5.0
KEY_KEPT_S = 3600.0
NO_KEY_QUIET_S = 1.0
"""Seconds for which an id is not requested again after the endpoint has said that it lacks it."""
LOOK_UPS_PER_S = 10.0
"""Requests for keys in the long run, however many ids clients make up."""
LOOK_UPS_BURST = 60
"""Requests for keys at once. A balancer has few keys, and each is requested once an hour."""
KEYS_MAX = 64
UNKNOWN_MAX = 1024
"""Ids that the endpoint lacks and that are remembered for `NO_KEY_QUIET_S`."""
LEEWAY_S = 10.0
NAME_MAX_CHARS = 200

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Balancer:
    """The trusted load balancer."""

    signer: str
    """Its ARN."""
    issuer: str
    client: str | None
    keys_url: str
    """URL template, with ``{kid}`` for the key's id."""
    operators: Collection[str]
    """`email:` and a verified address, or `sub:` and a subject, of each operator; others are
    readers. The two kinds are apart: a subject may look like somebody's address."""

    def __post_init__(self) -> None:
        """Check the template.

        Raises:
            ValueError: it gives no URL; says why.
        """
        parse_web_url(self.keys_url.replace("{kid}", "id"))


def regional_keys_url(signer: str) -> str:
    """Return where AWS publishes the keys of the balancer with this ARN."""
    region = signer.split(":")[3] if signer.count(":") >= 5 else ""
    return f"https://public-keys.auth.elb.{region}.amazonaws.com/{{kid}}"


class BalancerTokens:
    """Verifies the balancer's tokens. Keys are fetched once and cached, in bounded memory."""

    def __init__(
        self,
        balancer: Balancer,
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._balancer = balancer
        self._session = session
        self._clock = clock
        self._keys: OrderedDict[str, tuple[float, EllipticCurvePublicKey]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._look_ups = TokenBucket(LOOK_UPS_PER_S, LOOK_UPS_BURST, clock=clock)
        self._asking: dict[str, asyncio.Task[EllipticCurvePublicKey | None]] = {}

    async def identify(self, token: str) -> Identity:
        """Return the identity in the token.

        Raises:
            Unauthenticated: it is not from the balancer, or it has expired.
            Unavailable: the balancer's key is unavailable now, or too many others are requested.
        """
        try:
            return self._identity(await self._claims(token))
        except jwt.PyJWTError as error:
            raise Unauthenticated(
                f"The load balancer's token is not valid ({error}).", remedy="Sign in again."
            ) from error

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_MAX_CHARS:
            message = "too long"
            raise jwt.InvalidTokenError(message)
        header = jwt.get_unverified_header(token)
        balancer = self._balancer
        if header.get("alg") != ALGORITHM:
            raise jwt.InvalidAlgorithmError(f"not {ALGORITHM}")
        if header.get("signer") != balancer.signer:
            message = "another signer"
            raise jwt.InvalidTokenError(message)
        if balancer.client is not None and header.get("client") != balancer.client:
            message = "another client"
            raise jwt.InvalidTokenError(message)
        kid = header.get("kid")
        if not isinstance(kid, str) or not KEY_ID.fullmatch(kid):
            message = "no key id"
            raise jwt.InvalidTokenError(message)
        claims: dict[str, Any] = jwt.decode(
            token,
            await self._key(kid),
            algorithms=[ALGORITHM],
            issuer=balancer.issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "sub"], "verify_aud": False},
        )
        return claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            message = "no subject"
            raise jwt.InvalidTokenError(message)
        kinds = [f"sub:{subject}"]
        if (email := _verified_email(claims)) is not None:
            kinds.append(f"email:{email}")
        operator = any(kind in self._balancer.operators for kind in kinds)
        return Identity(
            f"oidc:{kinds[-1]}"[:NAME_MAX_CHARS], Scope.OPERATOR if operator else Scope.READER
        )

    async def _key(self, kid: str) -> EllipticCurvePublicKey:
        """Return the key of an id; each id is requested by itself, so that none waits for others.

        Who makes up ids keeps out only those who use them too, up to `LOOK_UPS_BURST`.
        """
        if key := self._fresh(kid):
            return key
        found = None
        if self._unknown.get(kid, float("-inf")) <= self._clock():
            found = await asyncio.shield(self._asking.get(kid) or self._ask(kid))
        if found is None:
            message = "unknown key"
            raise jwt.InvalidKeyError(message)
        return found

    def _ask(self, kid: str) -> asyncio.Task[EllipticCurvePublicKey | None]:
        """Begin to request a key for all who wait for it.

        Raises:
            Unavailable: so many have been requested that this one has to wait.
        """
        if self._look_ups.take():
            raise Unavailable(
                "Too many keys of the load balancer are asked for.", remedy="Try again in a moment."
            )
        task = asyncio.create_task(self._look_up(kid))
        self._asking[kid] = task
        task.add_done_callback(lambda _: self._asking.pop(kid, None))
        # Who waited may be gone by then; nobody else has to hear of a failure.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _look_up(self, kid: str) -> EllipticCurvePublicKey | None:
        found = await self._fetch(kid)
        if found is None:
            _remember(self._unknown, kid, self._clock() + NO_KEY_QUIET_S, UNKNOWN_MAX)
        else:
            _remember(self._keys, kid, (self._clock() + KEY_KEPT_S, found), KEYS_MAX)
        return found

    def _fresh(self, kid: str) -> EllipticCurvePublicKey | None:
        kept = self._keys.get(kid)
        return kept[1] if kept and self._clock() < kept[0] else None

    async def _fetch(self, kid: str) -> EllipticCurvePublicKey | None:
        """Return the key, or None if the endpoint has no key of that id."""
        url = parse_web_url(self._balancer.keys_url.replace("{kid}", kid))
        try:
            async with self._session.get(
                url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=KEY_TIMEOUT_S)
            ) as response:
                if response.status >= 500:
                    raise Unavailable("The load balancer's key endpoint does not answer.")
                if response.status != 200:
                    return None
                pem = await _read(response.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("balancer_key_away", error=str(error) or type(error).__name__)
            raise Unavailable("The load balancer's key endpoint does not answer.") from error
        try:
            key = load_pem_public_key(pem)
        except ValueError:
            return None
        return key if isinstance(key, EllipticCurvePublicKey) else None


def _remember(known: OrderedDict[str, T], kid: str, value: T, most: int) -> None:
    known[kid] = value
    known.move_to_end(kid)
    if len(known) > most:
        known.popitem(last=False)


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    """Return the e-mail address, if the provider has verified that it is the user's.

    Where users may change an unverified one, anybody could be anybody (OpenID Connect Core §5.7).
    Some providers send the boolean as text.
    """
    email, verified = claims.get("email"), claims.get("email_verified")
    if verified is not True and verified != "true":
        return None
    return email if isinstance(email, str) and email and email.isprintable() else None


async def _read(content: aiohttp.StreamReader) -> bytes:
    """Return the first bytes of a body; a key is smaller than the cap."""
    read = bytearray()
    async for chunk in content.iter_chunked(KEY_MAX_BYTES):
        read += chunk
        if len(read) > KEY_MAX_BYTES:
            break
    return bytes(read[:KEY_MAX_BYTES])
