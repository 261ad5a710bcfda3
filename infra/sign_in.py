"""The identity provider that the balancer signs users in with, as the deployer names it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

WELL_KNOWN = "/.well-known/openid-configuration"
"""Below the issuer (OpenID Connect Discovery 1.0, section 4)."""
DISCOVERY_TIMEOUT_S = 10.0
DISCOVERY_MAX_BYTES = 256 * 1024
SECRET = re.compile(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:[\w/+=.@-]+")
HTTPS_PORT = 443
SESSION_HOURS = 12
SESSION_MAX_HOURS = 168
"""The balancer's own default; it takes no more than a week."""
NEEDED = {
    "oidc_issuer": "the issuer of the identity provider, https://…",
    "oidc_client_id": "the id of the client that is registered there for this deployment",
    "oidc_secret": "the ARN of the secret in Secrets Manager whose text is that client's secret",
}
ENDPOINTS = {
    "oidc_authorization_endpoint": "authorization_endpoint",
    "oidc_token_endpoint": "token_endpoint",
    "oidc_user_info_endpoint": "userinfo_endpoint",
}
"""Each context key, and what discovery calls it."""
KEYS = (*NEEDED, *ENDPOINTS, "oidc_session_hours", "operators")

Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class SignIn:
    """Sign-in by OpenID Connect, by the balancer."""

    issuer: str
    client: str
    secret: str
    """ARN of the secret whose text is the client's secret. The template refers to it."""
    authorization: str
    token: str
    user_info: str
    session_hours: int = SESSION_HOURS
    """Hours after which a user has to sign in again."""
    operators: tuple[str, ...] = ()
    """`email:ADDRESS` or `sub:SUBJECT`; all others who sign in are readers."""

    @classmethod
    def read(
        cls, context: Mapping[str, Any], region: str, fetch: Fetch | None = None
    ) -> SignIn | None:
        """Read the context; None where it names no identity provider.

        The endpoints are asked of the issuer unless the context names all three.

        Raises:
            ValueError: naming what is missing or wrong, and the remedy.
        """
        said = {name: str(context[name]).strip() for name in KEYS if context.get(name)}
        if not said:
            return None
        for name, remedy in NEEDED.items():
            if name not in said:
                raise ValueError(f"{name}: is missing; give {remedy}: -c {name}=…")
        issuer = _https("oidc_issuer", said["oidc_issuer"])
        secret = SECRET.fullmatch(said["oidc_secret"])
        if secret is None or secret[1] != region:
            raise ValueError(f"oidc_secret: must be the ARN of a secret in {region}, not its text")
        named = [said[name] for name in ENDPOINTS if name in said]
        if named and len(named) < len(ENDPOINTS):
            raise ValueError(f"{next(n for n in ENDPOINTS if n not in said)}: name all or none")
        found = named or discover(issuer, fetch or fetched)
        authorization, token, user_info = map(_https, ENDPOINTS, found)
        return cls(
            issuer,
            said["oidc_client_id"],
            said["oidc_secret"],
            authorization,
            token,
            user_info,
            session_hours=_hours(said.get("oidc_session_hours", str(SESSION_HOURS))),
            operators=_operators(said.get("operators", "")),
        )


def discover(issuer: str, fetch: Fetch) -> list[str]:
    """Return the endpoints that an issuer publishes, in the order of `ENDPOINTS`.

    Raises:
        ValueError: it publishes none, or those of another issuer.
    """
    url = f"{issuer.rstrip('/')}{WELL_KNOWN}"
    remedy = f"name its endpoints instead: {', '.join(f'-c {name}=…' for name in ENDPOINTS)}"
    try:
        published = json.loads(fetch(url))
    except (OSError, ValueError) as error:
        raise ValueError(f"oidc_issuer: {url} is not to be read ({error}); {remedy}") from error
    if not isinstance(published, dict) or published.get("issuer") != issuer:
        raise ValueError(f"oidc_issuer: {url} is of another issuer; write it as it is there")
    endpoints = [published.get(name) for name in ENDPOINTS.values()]
    if not all(isinstance(each, str) for each in endpoints):
        raise ValueError(f"oidc_issuer: {url} lacks one of {[*ENDPOINTS.values()]}; {remedy}")
    return [str(each) for each in endpoints]


def fetched(url: str) -> bytes:
    """Return what is at an https URL.

    Raises:
        OSError: it is not reached in time, or answers with an error.
        ValueError: it is larger than `DISCOVERY_MAX_BYTES`.
    """
    with urlopen(url, timeout=DISCOVERY_TIMEOUT_S) as answer:  # noqa: S310 - https: `_https`
        body: bytes = answer.read(DISCOVERY_MAX_BYTES + 1)
    if len(body) > DISCOVERY_MAX_BYTES:
        raise ValueError(f"more than {DISCOVERY_MAX_BYTES} bytes")
    return body


def _https(name: str, url: str) -> str:
    """Return the URL; of port 443, which is all that the balancer's security group lets out."""
    try:
        parts = urlsplit(url)
        port = parts.port or HTTPS_PORT
    except ValueError as error:
        raise ValueError(f"{name}: {url!r} is no URL ({error})") from error
    plain = parts.hostname and not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme != "https" or port != HTTPS_PORT or not plain:
        raise ValueError(f"{name}: {url!r} is not https://HOST/PATH")
    return url


def _hours(text: str) -> int:
    hours = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= hours <= SESSION_MAX_HOURS:
        raise ValueError(f"oidc_session_hours: {text!r} is not from 1 to {SESSION_MAX_HOURS}")
    return hours


def _operators(text: str) -> tuple[str, ...]:
    """Return each as the application takes it; an address alone is an `email:`."""
    found = []
    for each in filter(None, map(str.strip, text.split(","))):
        kind, colon, name = each.partition(":")
        if not colon and "@" in each:
            found.append(f"email:{each}")
        elif kind in {"email", "sub"} and name:
            found.append(each)
        else:
            raise ValueError(f"operators: {each!r} is neither an address nor sub:SUBJECT")
    return tuple(found)
