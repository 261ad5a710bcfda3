"""Authentication, origin, host, scope and hijacking cases as a table, each with its refusal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.api_server import HOST, Api, bearer, create_keys, serving, settings_for
from triptych.access.access_store import Scope
from triptych.access.authenticator import KEY_SUBPROTOCOL, Authenticator
from triptych.access.identity import digest, new_token
from triptych.api.app import ROUTERS
from triptych.api.http.auth import operating
from triptych.errors import SettingsError, TriptychError
from triptych.wiring.services import connect
from triptych.wiring.web_server import open_authenticator, open_web

SIGNER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/t/1"
ISSUER = "https://idp.example"
CLIENT = "client-1"
KID = "0b4c3f0e-1111-2222-3333-444455556666"
KEYS = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in (KID, "stranger")}


class KeyEndpoint:
    """Publishes the balancer's key as AWS does, and counts who asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def get(self, request: web.Request) -> web.Response:
        kid = request.match_info["kid"]
        self.asked.append(kid)
        if kid != KID:
            raise web.HTTPNotFound
        public = KEYS[KID].public_key()
        return web.Response(
            body=public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )


@pytest.fixture
async def endpoint() -> AsyncIterator[KeyEndpoint]:
    found = KeyEndpoint()
    app = web.Application()
    app.router.add_get("/{kid}", found.get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/{{kid}}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def guarded(migrated_dsn: str, tmp_path: Path, endpoint: KeyEndpoint) -> AsyncIterator[Api]:
    """A server that asks everybody for a key or the balancer's word."""
    async with serving(
        migrated_dsn,
        tmp_path,
        allowed_hosts=(HOST,),
        allowed_origins=("https://dash.example",),
        oidc_signer=SIGNER,
        oidc_issuer=ISSUER,
        oidc_client=CLIENT,
        oidc_keys_url=endpoint.url,
        oidc_operators=("email:boss@example.org", "sub:chief"),
        fetch_allow="127.0.0.0/8",
    ) as opened:
        yield opened


def vouched(
    *, key: str = KID, header: dict[str, Any] | None = None, alg: str = "ES256", **claims: Any
) -> dict[str, str]:
    """Return the header that a balancer would add."""
    heading = {"kid": KID, "signer": SIGNER, "client": CLIENT, **(header or {})}
    body = {
        "sub": "1",
        "email": "reader@example.org",
        "email_verified": True,
        "iss": ISSUER,
        "exp": time.time() + 3600,
    }
    body |= claims
    body = {name: value for name, value in body.items() if value is not None}
    secret: Any = KEYS[key] if alg == "ES256" else "x" * 32 if alg == "HS256" else None
    return {"x-amzn-oidc-data": jwt.encode(body, secret, algorithm=alg, headers=heading)}


BOSS: dict[str, Any] = {"email": "boss@example.org"}
NOBODY, READER = (401, "unauthenticated"), (403, "forbidden")
ORIGIN, OTHER = (403, "origin-refused"), (421, "host-refused")
EVIL = {"Origin": "https://evil.example"}
NAVIGATES = {"Sec-Fetch-Mode": "navigate"}
CROSS = {"Sec-Fetch-Site": "cross-site"}
OWN: dict[str, str] = {"Host": HOST, "Origin": f"https://{HOST}"}
PLAIN: dict[str, str] = {"Host": HOST, "Origin": f"http://{HOST}"}
TYPED, SIBLING = {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-site"}
READ, START = ("GET", "/brands"), ("POST", "/brands/nike/runs")
REFUSED: list[tuple[str, tuple[str, str], dict[str, str], int, str]] = [
    ("nobody", READ, {}, *NOBODY),
    ("an unknown key", READ, bearer("trk_" + "x" * 43), *NOBODY),
    ("a revoked key", READ, bearer("{revoked}"), *NOBODY),
    ("a key as a password", READ, {"Authorization": "Basic {reader}"}, *NOBODY),
    ("an empty key", READ, bearer(""), *NOBODY),
    ("a key in the URL", ("GET", "/brands?key={reader}"), {}, *NOBODY),
    ("a reader that starts", START, bearer("{reader}"), *READER),
    ("a reader that reads audit", ("GET", "/audit"), bearer("{reader}"), *READER),
    ("a reader that redrives", ("POST", "/dead-letters/redrive"), bearer("{reader}"), *READER),
    ("another host", READ, {**bearer("{operator}"), "Host": "evil.example"}, *OTHER),
    ("a longer host", READ, {**bearer("{operator}"), "Host": f"{HOST}.evil"}, *OTHER),
    ("another site's page", START, {**bearer("{operator}"), **EVIL}, *ORIGIN),
    ("a page of no site", START, {**bearer("{operator}"), "Origin": "null"}, *ORIGIN),
    ("another site's picture", READ, {**bearer("{operator}"), **CROSS}, *ORIGIN),
    ("another site's form", START, {**bearer("{operator}"), **CROSS, **NAVIGATES}, *ORIGIN),
    ("no token at all", READ, {"x-amzn-oidc-data": "x.y.z"}, *NOBODY),
    ("an unsigned token", READ, vouched(alg="none"), *NOBODY),
    ("a token signed by the public key's text", READ, vouched(alg="HS256"), *NOBODY),
    ("a stranger's signature", READ, vouched(key="stranger"), *NOBODY),
    ("an unknown key id", READ, vouched(key="stranger", header={"kid": "stranger"}), *NOBODY),
    ("a key id that is a path", READ, vouched(header={"kid": "../x"}), *NOBODY),
    ("a key id of another host", READ, vouched(header={"kid": "@evil.example/"}), *NOBODY),
    ("another balancer", READ, vouched(header={"signer": SIGNER[:-1] + "2"}), *NOBODY),
    ("another client", READ, vouched(header={"client": "other"}), *NOBODY),
    ("another issuer", READ, vouched(iss="https://evil.example"), *NOBODY),
    ("no issuer", READ, vouched(iss=None), *NOBODY),
    ("an expired token", READ, vouched(exp=time.time() - 60), *NOBODY),
    ("a token for ever", READ, vouched(exp=None), *NOBODY),
    ("a token of nobody", READ, vouched(sub=None), *NOBODY),
    ("a token too long", READ, {"x-amzn-oidc-data": "x" * 7000 + "." + "y" * 1000}, *NOBODY),
    ("a reader by the balancer", START, {**vouched(), **OWN}, *READER),
    ("a cookie's write of no page", START, vouched(**BOSS), *ORIGIN),
    ("a cookie's write of the user's own", START, {**vouched(**BOSS), **TYPED}, *ORIGIN),
    ("a cookie's write of a sibling", START, {**vouched(**BOSS), **SIBLING}, *ORIGIN),
    ("a cookie's write of a page without TLS", START, {**vouched(**BOSS), **PLAIN}, *ORIGIN),
    ("a cookie's removal of no page", ("DELETE", "/brands/nike"), vouched(**BOSS), *ORIGIN),
    ("a wrong key beside a good token", READ, {**vouched(), **bearer("trk_x")}, *NOBODY),
]  # fmt: skip


async def test_whom_the_gate_refuses(guarded: Api) -> None:
    tokens = await create_keys(guarded)
    for who, (method, path), headers, status, reason in REFUSED:
        filled = {name: value.format(**tokens) if "{" in value else value
                  for name, value in headers.items()}  # fmt: skip
        reply = await guarded(method, path.format(**tokens), headers=filled)
        assert (reply.status, reply.json["reason"]) == (status, reason), who
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert ("WWW-Authenticate" in reply.headers) == (status == 401), who
    assert not (await guarded.stores.runs.runs(None, limit=1))


async def test_whom_the_gate_lets_in(guarded: Api, endpoint: KeyEndpoint) -> None:
    tokens = await create_keys(guarded)
    for headers, identity in [
        (bearer(tokens["reader"]), ("key:reader", "reader")),
        (bearer(tokens["operator"]), ("key:operator", "operator")),
        ({**bearer(tokens["reader"]), "Host": HOST}, ("key:reader", "reader")),
        ({**bearer(tokens["reader"]), "Origin": "https://dash.example"}, ("key:reader", "reader")),
        (vouched(), ("oidc:email:reader@example.org", "reader")),
        (vouched(**BOSS), ("oidc:email:boss@example.org", "operator")),
        (vouched(**BOSS, email_verified="true"), ("oidc:email:boss@example.org", "operator")),
        (vouched(email=None), ("oidc:sub:1", "reader")),
        (vouched(email=None, sub="chief"), ("oidc:sub:chief", "operator")),
        # Who has written somebody's address into a field is not that person.
        *(
            (vouched(**BOSS, email_verified=said), ("oidc:sub:1", "reader"))
            for said in (False, "false", None, 1, "yes", [True])
        ),
        (vouched(sub="boss@example.org", email=None), ("oidc:sub:boss@example.org", "reader")),
        (vouched(sub="2", email="chief"), ("oidc:email:chief", "reader")),
        (vouched(email="sub:chief"), ("oidc:email:sub:chief", "reader")),
    ]:
        reply = await guarded.get("/me", headers=headers)
        assert (reply.json["name"], reply.json["scope"]) == identity
    assert endpoint.asked == [KID], "the balancer's key is kept"
    for page in (OWN, {"Origin": "https://dash.example"}, {"Sec-Fetch-Site": "same-origin"}):
        written = await guarded.post("/brands/nike/pause", headers={**vouched(**BOSS), **page})
        assert written.json["reason"] != "origin-refused", page
    body = {"source": "manifest:https://x.example/a.csv"}
    started = await guarded.post("/brands/nike/runs", json=body, headers=bearer(tokens["operator"]))
    assert started.status == 202
    audit = (await guarded.get("/audit", headers=bearer(tokens["operator"]))).json["items"]
    assert [(a["actor"], a["action"], a["target"]) for a in audit] == [
        ("key:operator", "start", "brand:nike")
    ]
    for path in ("/healthz", "/readyz"):
        assert (await guarded.get(path, headers={"Host": "10.0.0.7"})).status == 200


async def test_g9_files_of_the_server_are_no_sources_for_remote_operators(guarded: Api) -> None:
    tokens = await create_keys(guarded)
    for source in ("manifest:/etc/passwd", "manifest:file:///etc/passwd", "manifest:../x"):
        reply = await guarded.post(
            "/brands/nike/runs", json={"source": source}, headers=bearer(tokens["operator"])
        )
        assert (reply.status, reply.json["field"]) == (422, "source"), source


def websocket(headers: dict[str, str], protocols: list[str]) -> dict[str, Any]:
    """Return the ASGI scope of a WebSocket's opening request."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "websocket", "path": "/ws", "headers": raw, "subprotocols": protocols}


async def test_websockets_are_asked_the_same(migrated_dsn: str, tmp_path: Path) -> None:
    settings = settings_for(migrated_dsn, tmp_path, allowed_hosts=(HOST,))
    token = new_token()
    async with connect(settings, migrated_dsn) as context:
        await context.stores.access.create_key("reader", Scope.READER, digest(token))
        async with open_authenticator(context) as authenticator:
            mine = {"Host": HOST, "Origin": f"https://{HOST}"}
            protocol = [f"{KEY_SUBPROTOCOL}{token}", "triptych.v1"]
            assert (await authenticator.admit(websocket(mine, protocol))).name == "key:reader"
            assert (
                await authenticator.admit(websocket({**mine, **bearer(token)}, []))
            ).name == "key:reader"
            for headers, protocols, reason in [
                ({**mine, "Origin": "https://evil.example"}, protocol, "OriginRefused"),
                ({**mine, "Origin": "null"}, protocol, "OriginRefused"),
                ({**mine, "Host": "evil.example"}, protocol, "HostRefused"),
                (mine, ["triptych.v1"], "Unauthenticated"),
                (mine, [f"{KEY_SUBPROTOCOL}trk_wrong"], "Unauthenticated"),
                ({"Origin": f"https://{HOST}"}, protocol, "HostRefused"),
            ]:
                assert await refused(authenticator, websocket(headers, protocols)) == reason
            twice = websocket(mine, protocol)
            twice["headers"].append((b"host", b"evil.example"))
            assert await refused(authenticator, twice) == "Unauthenticated"


async def test_websockets_of_a_cookie_name_their_page(guarded: Api) -> None:
    own = {"Host": HOST, **vouched()}
    async with open_authenticator(guarded.services) as authenticator:
        admitted = await authenticator.admit(websocket({**own, **OWN}, ["triptych.v1"]))
        assert admitted.name == "oidc:email:reader@example.org"
        for headers in (own, {**own, **PLAIN}, {**own, **SIBLING}):
            assert await refused(authenticator, websocket(headers, [])) == "OriginRefused"


async def refused(authenticator: Authenticator, scope: dict[str, Any]) -> str | None:
    try:
        await authenticator.admit(scope)
    except TriptychError as error:
        return type(error).__name__
    return None


async def test_rates_hold_for_each_key(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving(migrated_dsn, tmp_path, api_rate=0.1, api_burst=3) as api:
        replies = [await api.get("/me") for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429]
        assert 1 <= int(replies[-1].headers["Retry-After"]) <= 10
        assert replies[-1].json["reason"] == "too-many-requests"
        assert (await api.get("/healthz")).status == 200


async def test_thumbnails_have_a_rate_of_their_own(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving(
        migrated_dsn, tmp_path, api_rate=0.1, api_burst=1, api_picture_rate=0.1, api_picture_burst=2
    ) as api:
        asset = f"/assets/{'0' * 64}"
        pictures = [(await api.get(f"{asset}/thumbnail")) for _ in range(3)]
        assert [reply.status == 429 for reply in pictures] == [False, False, True]
        assert "TRIPTYCH_API_PICTURE_RATE" in pictures[-1].json["remedy"]
        assert [(await api.get("/me")).status for _ in range(2)] == [200, 429]


async def test_any_address_but_loopback_is_refused_without_keys(
    migrated_dsn: str, tmp_path: Path
) -> None:
    for overrides in ({"api_host": "0.0.0.0"}, {"api_host": "::"}, {"allowed_hosts": (HOST,)}):
        settings = settings_for(migrated_dsn, tmp_path, **overrides)
        async with connect(settings, migrated_dsn) as context:
            with pytest.raises(SettingsError, match="triptych keys create"):
                async with open_web(context):
                    pass
    settings = settings_for(migrated_dsn, tmp_path, api_host="0.0.0.0")
    async with connect(settings, migrated_dsn) as context:
        await context.stores.access.create_key("a", Scope.READER, digest(new_token()))
        async with open_web(context):
            pass


READERS_MAY = frozenset({"search_by_picture"})
"""Operations that are no GET and change nothing."""


def test_every_operation_that_changes_something_asks_for_an_operator() -> None:
    for router in ROUTERS:
        for route in (operation.route() for operation in router.operations):
            assert route.methods is not None
            if route.methods <= {"GET", "HEAD"} or route.name in READERS_MAY:
                continue
            asked = {dependency.call for dependency in route.dependant.dependencies}
            assert operating in asked, route.name
