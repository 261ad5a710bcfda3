"""Keys of the load balancer: made-up ids neither keep out who has a real one nor flood."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from triptych.access.balancer import (
    LOOK_UPS_BURST,
    LOOK_UPS_PER_S,
    NO_KEY_QUIET_S,
    UNKNOWN_MAX,
    Balancer,
    BalancerTokens,
)
from triptych.errors import Unauthenticated, Unavailable

SIGNER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/t/1"
KEY, STRANGERS = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Response:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.content = self

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def iter_chunked(self, _size: int) -> Any:
        yield self.body


class Endpoint:
    """The keys' endpoint in place of a session: knows ids that begin with ``good``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.slow: set[str] = set()

    def get(self, url: Any, **_: object) -> Any:
        kid = str(url).rpartition("/")[2]
        self.asked.append(kid)
        endpoint = self

        class Asked(Response):
            async def __aenter__(self) -> Response:
                if kid in endpoint.slow:
                    await endpoint.answering.wait()
                return self

        return Asked(200, PEM) if kid.startswith("good") else Asked(404, b"")


def opened() -> tuple[BalancerTokens, Endpoint, list[float]]:
    endpoint, now = Endpoint(), [0.0]
    balancer = Balancer(SIGNER, "https://idp", None, "https://keys.example/{kid}", ())
    return BalancerTokens(balancer, endpoint, clock=lambda: now[0]), endpoint, now  # type: ignore[arg-type]


def token(kid: str, key: ec.EllipticCurvePrivateKey = KEY) -> str:
    claims = {"sub": kid, "iss": "https://idp", "exp": time.time() + 3600}
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": kid, "signer": SIGNER})


def made_up() -> str:
    return token(str(uuid4()), STRANGERS)


async def test_a_made_up_id_does_not_keep_out_a_user_whose_key_is_not_known_yet() -> None:
    tokens, endpoint, _ = opened()
    for _ in range(LOOK_UPS_BURST - 1):
        with pytest.raises(Unauthenticated):
            await tokens.identify(made_up())
    assert (await tokens.identify(token("good-1"))).name == "oidc:sub:good-1"
    assert endpoint.asked[-1] == "good-1"


async def test_one_made_up_id_is_asked_for_once_a_second() -> None:
    tokens, endpoint, now = opened()
    unknown = made_up()
    for _ in range(1000):
        with pytest.raises(Unauthenticated):
            await tokens.identify(unknown)
    assert len(endpoint.asked) == 1
    now[0] = NO_KEY_QUIET_S
    with pytest.raises(Unauthenticated):
        await tokens.identify(unknown)
    assert len(endpoint.asked) == 2


async def test_g8_requests_for_keys_are_bounded_however_many_ids_are_made_up() -> None:
    tokens, endpoint, now = opened()
    known = token("good-1")
    await tokens.identify(known)
    refused = 0
    for _ in range(10 * LOOK_UPS_BURST):
        try:
            await tokens.identify(made_up())
        except Unavailable:
            refused += 1  # Not "sign in again": the next try may be answered.
        except Unauthenticated:
            pass
    assert len(endpoint.asked) == LOOK_UPS_BURST
    assert refused == 9 * LOOK_UPS_BURST + 1
    await tokens.identify(known)
    now[0] = 1.0
    assert (await tokens.identify(token("good-2"))).name == "oidc:sub:good-2"
    for _ in range(10 * LOOK_UPS_BURST):
        with pytest.raises((Unauthenticated, Unavailable)):
            await tokens.identify(made_up())
    assert len(endpoint.asked) == LOOK_UPS_BURST + LOOK_UPS_PER_S


async def test_g8_made_up_ids_take_little_memory() -> None:
    tokens, _, now = opened()
    for number in range(UNKNOWN_MAX + 200):
        now[0] = float(number)
        with pytest.raises(Unauthenticated):
            await tokens.identify(made_up())
    assert len(tokens._unknown) == UNKNOWN_MAX
    assert not tokens._asking


async def test_an_answer_that_does_not_come_delays_nobody_else() -> None:
    tokens, endpoint, _ = opened()
    endpoint.answering.clear()
    endpoint.slow = {"slow"}
    waiting = asyncio.create_task(tokens.identify(token("slow", STRANGERS)))
    await asyncio.sleep(0)
    assert (await tokens.identify(token("good-1"))).name == "oidc:sub:good-1"
    assert not waiting.done()
    endpoint.answering.set()
    with pytest.raises(Unauthenticated):
        await waiting


async def test_who_asks_for_the_same_key_asks_once() -> None:
    tokens, endpoint, _ = opened()
    endpoint.answering.clear()
    endpoint.slow = {"good-1"}
    asking = [asyncio.create_task(tokens.identify(token("good-1"))) for _ in range(10)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    endpoint.answering.set()
    found = await asyncio.gather(*asking[1:])
    assert {each.name for each in found} == {"oidc:sub:good-1"}
    assert endpoint.asked == ["good-1"]
