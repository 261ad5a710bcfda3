"""Users whom the balancer signs in, from their browser to the application and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from infra.routes import HEALTH_PATHS
from infra.routes import KEY_SUBPROTOCOL as PATTERN

from tests.support.api_server import HOST, Api, bearer, create_keys, serving
from tests.support.signing_balancer import (
    CLIENT,
    COOKIE,
    ISSUER,
    SIGNER,
    SigningBalancer,
    balancing,
    matching,
)
from triptych.access.authenticator import KEY_SUBPROTOCOL

NAVIGATES = {"Sec-Fetch-Mode": "navigate"}
BOSS = {"sub": "1", "email": "boss@example.org", "email_verified": "true"}
VISITOR = {"sub": "2", "email": "visitor@example.org", "email_verified": "true"}


@dataclass
class Deployment:
    balancer: SigningBalancer
    api: Api
    browser: aiohttp.ClientSession

    @property
    def own_page(self) -> dict[str, str]:
        """What a browser adds to the requests of the deployment's own pages."""
        return {"Origin": self.balancer.url.replace("http:", "https:")}

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        """Return the status and the JSON of an answer, or its text."""
        async with self.browser.request(
            method, f"{self.balancer.url}{path}", headers=headers, **more
        ) as answer:
            is_json = "json" in answer.content_type
            return answer.status, await (answer.json() if is_json else answer.text())

    async def sign_in(self, user: dict[str, Any]) -> Any:
        """Follow a link as a person does; return what it shows in the end."""
        self.balancer.user = user
        status, shown = await self.ask("GET", "/api/v1/me?from=link", NAVIGATES)
        assert status == 200
        return shown


@pytest.fixture
async def deployment(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with (
        balancing() as balancer,
        serving(
            migrated_dsn,
            tmp_path,
            allowed_hosts=(HOST,),
            oidc_signer=SIGNER,
            oidc_issuer=ISSUER,
            oidc_client=CLIENT,
            oidc_keys_url=balancer.keys_url,
            oidc_operators=("email:boss@example.org",),
            fetch_allow="127.0.0.0/8",
        ) as api,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        balancer.backend = api.url
        yield Deployment(balancer, api, browser)


async def test_a_person_signs_in_and_works_with_their_rights(deployment: Deployment) -> None:
    shown = await deployment.sign_in(BOSS)
    assert (shown["name"], shown["scope"]) == ("oidc:email:boss@example.org", "operator")
    body = {"source": "manifest:https://x.example/a.csv"}
    status, _ = await deployment.ask(
        "POST", "/api/v1/brands/nike/runs", deployment.own_page, json=body
    )
    assert status == 202
    _, audit = await deployment.ask("GET", "/api/v1/audit")
    assert audit["items"][0]["actor"] == "oidc:email:boss@example.org"
    deployment.browser.cookie_jar.clear()
    assert (await deployment.sign_in(VISITOR))["scope"] == "reader"
    status, refused = await deployment.ask(
        "POST", "/api/v1/brands/nike/runs", deployment.own_page, json=body
    )
    assert (status, refused["reason"]) == (403, "forbidden")


async def test_other_sites_pages_write_nothing_with_the_users_cookie(
    deployment: Deployment,
) -> None:
    await deployment.sign_in(BOSS)
    for page in (
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Origin": deployment.balancer.url},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ):
        status, refused = await deployment.ask("DELETE", "/api/v1/brands/nike", page)
        assert (status, refused["reason"]) == (403, "origin-refused"), page


async def test_without_a_session_pages_are_redirected_and_scripts_get_401(
    deployment: Deployment,
) -> None:
    for path, headers in (("/", {}), ("/brands/nike", {}), ("/api/v1/brands", NAVIGATES)):
        async with deployment.browser.get(
            f"{deployment.balancer.url}{path}", headers=headers, allow_redirects=False
        ) as answer:
            assert answer.status == 302
            assert "/provider/authorize?" in answer.headers["Location"]
    status, _ = await deployment.ask("GET", "/api/v1/brands", {"Sec-Fetch-Mode": "cors"})
    assert status == 401
    assert deployment.balancer.forwarded == []


async def test_a_session_that_has_ended_is_one_no_more(deployment: Deployment) -> None:
    await deployment.sign_in(BOSS)
    assert (await deployment.ask("GET", "/api/v1/brands"))[0] == 200
    deployment.balancer.sessions.clear()
    assert (await deployment.ask("GET", "/api/v1/brands"))[0] == 401


async def test_keys_and_monitors_need_no_session(deployment: Deployment) -> None:
    tokens = await create_keys(deployment.api)
    for spelt in ("Bearer", "bearer"):
        key = {"Authorization": f"{spelt} {tokens['operator']}"}
        status, shown = await deployment.ask("GET", "/api/v1/me", key)
        assert (status, shown["name"]) == (200, "key:operator")
    for path in HEALTH_PATHS:
        assert (await deployment.ask("GET", path))[0] == 200
    assert (await deployment.ask("GET", "/api/v1/me", bearer("trk_" + "x" * 43)))[0] == 401


async def test_who_bypasses_the_sign_in_is_nobody_without_a_valid_key(
    deployment: Deployment,
) -> None:
    forged = deployment.balancer.signed(BOSS, signer=SIGNER[:-1] + "2")
    for headers in (
        {"Authorization": "Bearer x", "x-amzn-oidc-data": deployment.balancer.signed(BOSS)},
        {"Authorization": "Bearer x", "x-amzn-oidc-data": forged},
        {"Authorization": "Bearer "},
    ):
        assert (await deployment.ask("GET", "/api/v1/brands", headers))[0] == 401, headers
    # What a client brings itself is replaced.
    await deployment.sign_in(VISITOR)
    named = {"x-amzn-oidc-data": deployment.balancer.signed(BOSS)}
    assert (await deployment.ask("GET", "/api/v1/me", named))[1]["scope"] == "reader"


async def greeted(deployment: Deployment, headers: dict[str, str], *protocols: str) -> Any:
    """Return the first frame of live status, or the status with which it was refused."""
    url = f"{deployment.balancer.url.replace('http', 'ws', 1)}/ws"
    try:
        async with deployment.browser.ws_connect(
            url, headers=headers, protocols=["triptych.v1", *protocols]
        ) as socket:
            return (await socket.receive_json(timeout=60))["type"]
    except aiohttp.WSServerHandshakeError as refusal:
        return refusal.status


async def test_live_status_takes_the_session_or_a_key(deployment: Deployment) -> None:
    tokens = await create_keys(deployment.api)
    assert await greeted(deployment, deployment.own_page) == 401
    assert await greeted(deployment, {}, f"{KEY_SUBPROTOCOL}{tokens['reader']}") == "hello"
    assert await greeted(deployment, bearer(tokens["reader"])) == "hello"
    assert await greeted(deployment, {}, f"{KEY_SUBPROTOCOL}{'x' * 47}") != "hello"
    await deployment.sign_in(VISITOR)
    assert await greeted(deployment, deployment.own_page) == "hello"
    assert await greeted(deployment, {}) != "hello"
    assert await greeted(deployment, {"Origin": "https://evil.example"}) != "hello"
    assert COOKIE in {cookie.key for cookie in deployment.browser.cookie_jar}


def test_the_rule_for_live_status_knows_the_keys_subprotocol() -> None:
    assert PATTERN[1] == f"*{KEY_SUBPROTOCOL}*"
    offered = {"Sec-WebSocket-Protocol": f"triptych.v1, {KEY_SUBPROTOCOL}trk_x"}
    assert matching_name("/ws", offered) == "LiveSubprotocol"
    assert matching_name("/ws", {}) == "Live"
    assert matching_name("/wsx", {}) == "default"


def matching_name(path: str, headers: dict[str, str]) -> str:
    from infra.routes import BY_SIGN_IN

    return matching(BY_SIGN_IN, path, headers).name
