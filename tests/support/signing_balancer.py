"""A load balancer that signs users in, as AWS documents its Application Load Balancer.

It tries the template's own rules (`infra.routes`) in their order, leads browsers to a provider that
signs everybody in at once, keeps sessions by cookie, and adds the header that the application
trusts: a JWT by ES256 whose parts have padding, whose header names key, signer, client, issuer and
expiry, and whose body is what the provider says of the user.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fnmatch import translate
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from infra.routes import API, AUTHENTICATE, BY_SIGN_IN, DENY, Rule
from jwt.algorithms import ECAlgorithm

SIGNER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/t/1"
ISSUER = "https://idp.example"
CLIENT = "client-1"
KEY_ID = "0b4c3f0e-1111-2222-3333-444455556666"
COOKIE = "AWSELBAuthSessionCookie-0"
STATE_COOKIE = "AWSALBAuthNonce"
RETURN_PATH = "/oauth2/idpresponse"
TOKEN_S = 120
HOP_BY_HOP = {
    *("connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"),
    *("sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"),
}
DEFAULT = Rule("default", 0, API, unauthenticated=AUTHENTICATE)


def matching(rules: Sequence[Rule], path: str, headers: Any) -> Rule:
    """Return the rule that a request falls under: the first whose conditions all hold."""
    for rule in sorted(rules, key=lambda rule: rule.priority):
        if rule.paths and not any(re.match(translate(each), path) for each in rule.paths):
            continue
        if rule.header is not None:
            name, pattern = rule.header
            if not re.match(translate(pattern), headers.get(name, ""), re.IGNORECASE):
                continue
        return rule
    return DEFAULT


class SigningBalancer:
    """The balancer, its provider, and AWS's endpoint of public keys, on one address."""

    def __init__(self) -> None:
        self.url = self.backend = ""
        self.user: dict[str, Any] = {}
        """Who signs in at the provider next: what its user info endpoint says."""
        self.sessions: dict[str, dict[str, Any]] = {}
        self.forwarded: list[tuple[str, str]] = []
        """Method and path of what reached the application."""
        self._codes: dict[str, dict[str, Any]] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._session: aiohttp.ClientSession | None = None

    @property
    def keys_url(self) -> str:
        return f"{self.url}/keys/{{kid}}"

    async def _public_key(self, request: web.Request) -> web.Response:
        if request.match_info["kid"] != KEY_ID:
            raise web.HTTPNotFound
        public = self._key.public_key()
        return web.Response(
            body=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )

    async def _authorize(self, request: web.Request) -> web.Response:
        code = secrets.token_urlsafe()
        self._codes[code] = self.user
        back = urlencode({"code": code, "state": request.query["state"]})
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{back}")

    async def _any(self, request: web.Request) -> web.StreamResponse:
        rule = matching(BY_SIGN_IN, request.path, request.headers)
        claims = None
        if rule.unauthenticated is not None:
            if request.path == RETURN_PATH:
                return self._signed_in(request)
            claims = self.sessions.get(request.cookies.get(COOKIE, ""))
            if claims is None:
                if rule.unauthenticated == DENY:
                    return web.Response(status=401, text="401", content_type="text/html")
                return self._to_provider(request)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP
        }
        if claims is not None:
            headers["x-amzn-oidc-data"] = self.signed(claims)
        self.forwarded.append((request.method, request.path))
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request, headers)
        return await self._request(request, headers)

    def _to_provider(self, request: web.Request) -> web.Response:
        state = secrets.token_urlsafe()
        asked = {
            "client_id": CLIENT,
            "redirect_uri": f"{self.url}{RETURN_PATH}",
            "response_type": "code",
            "scope": "openid email",
            "state": state,
        }
        answer = web.Response(status=302)
        answer.headers["Location"] = f"{self.url}/provider/authorize?{urlencode(asked)}"
        answer.set_cookie(STATE_COOKIE, f"{state}|{request.path_qs}", httponly=True)
        return answer

    def _signed_in(self, request: web.Request) -> web.Response:
        state, _, asked_for = request.cookies.get(STATE_COOKIE, "").partition("|")
        claims = self._codes.pop(request.query.get("code", ""), None)
        if claims is None or not state or state != request.query.get("state"):
            return web.Response(status=401, text="401", content_type="text/html")
        session = secrets.token_urlsafe()
        self.sessions[session] = claims
        answer = web.Response(status=302, headers={"Location": f"{self.url}{asked_for}"})
        answer.set_cookie(COOKIE, session, httponly=True)
        return answer

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """Return the header's value: AWS leaves the padding in, which RFC 7515 does not."""
        ends = int(time.time()) + TOKEN_S
        heading = {
            "typ": "JWT",
            "kid": KEY_ID,
            "alg": "ES256",
            "iss": ISSUER,
            "client": CLIENT,
            "signer": SIGNER,
            "exp": ends,
            **header,
        }
        body = {**claims, "exp": ends, "iss": ISSUER}
        text = b".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()) for part in (heading, body)
        )
        signature = ECAlgorithm(ECAlgorithm.SHA256).sign(text, self._key)
        return (text + b"." + base64.urlsafe_b64encode(signature)).decode()

    async def _request(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        assert self._session is not None
        async with self._session.request(
            request.method,
            f"{self.backend}{request.path_qs}",
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def _websocket(self, request: web.Request, headers: dict[str, str]) -> web.StreamResponse:
        assert self._session is not None
        try:
            behind = await self._session.ws_connect(
                f"{self.backend}{request.path_qs}", headers=headers
            )
        except aiohttp.WSServerHandshakeError as refusal:
            return web.Response(status=refusal.status)
        async with behind:
            before = web.WebSocketResponse(protocols=[behind.protocol] if behind.protocol else [])
            await before.prepare(request)
            await asyncio.wait(
                [
                    asyncio.create_task(_pump(behind, before)),
                    asyncio.create_task(_pump(before, behind)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            await before.close()
        return before


async def _pump(source: Any, sink: Any) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT and not sink.closed:
            await sink.send_str(message.data)


@asynccontextmanager
async def balancing() -> AsyncIterator[SigningBalancer]:
    """Serve a balancer; its `backend` is to be set."""
    balancer = SigningBalancer()
    app = web.Application()
    app.router.add_get("/keys/{kid}", balancer._public_key)
    app.router.add_get("/provider/authorize", balancer._authorize)
    app.router.add_route("*", "/{path:.*}", balancer._any)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    balancer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        balancer._session = session
        yield balancer
    await runner.cleanup()
