"""When a key expires, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from triptych.access.access_store import ApiKey, Scope
from triptych.access.authenticator import Authenticator
from triptych.access.expiry import DAYS_MAX, DEFAULT, read_expiry
from triptych.access.host_policy import HostPolicy
from triptych.access.identity import digest
from triptych.access.key_cache import ApiKeyCache
from triptych.access.rate_limiter import RateLimiter
from triptych.errors import BadInput, Unauthenticated

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("90d", NOW + timedelta(days=90)),
        (" 1D ", NOW + timedelta(days=1)),
        (DEFAULT, NOW + timedelta(days=365)),
        ("2031-01-31", datetime(2031, 1, 31, tzinfo=UTC)),
        ("never", None),
        ("Never", None),
    ],
)
def test_an_expiry_is_days_a_date_or_never(text: str, end: datetime | None) -> None:
    assert read_expiry(text, NOW) == end


@pytest.mark.parametrize(
    "text",
    ["", "90", "-1d", "0d", "2030-06-01", "2029-01-01", "31.1.2031", "2031-02-30", "soon", "9999d"],
)
def test_other_expiries_are_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_expiry(text, NOW)
    assert refused.value.field == "--expires"
    assert "never" in (refused.value.remedy or "")


def test_the_longest_expiry_is_taken() -> None:
    assert read_expiry(f"{DAYS_MAX}d", NOW) == NOW + timedelta(days=DAYS_MAX)


class Keys:
    """A store with one key."""

    async def live_keys(self, *, limit: int) -> list[ApiKey]:
        return [ApiKey("ci", Scope.READER, digest("trk_ci"), NOW, None, NOW)][:limit]


async def test_an_expired_key_is_refused_and_says_since_when() -> None:
    moment = [NOW - timedelta(microseconds=1)]
    cache = ApiKeyCache(Keys())  # type: ignore[arg-type]
    authenticator = Authenticator(
        HostPolicy([], [], any_host=True),
        cache,
        RateLimiter(100, 100),
        open_=True,
        balancer=None,
        now=lambda: moment[0],
    )
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"host", b"localhost"), (b"authorization", b"Bearer trk_ci")],
    }
    identity = await authenticator.admit(scope)
    assert (identity.name, identity.expires_at) == ("key:ci", NOW)
    assert await authenticator.still_admits(scope, "key:ci")
    moment[0] = NOW
    with pytest.raises(Unauthenticated, match="expired on 2030-06-01 at 12:00 UTC"):
        await authenticator.admit(scope)
    assert not await authenticator.still_admits(scope, "key:ci")
    # A server does not open to all because its last key expired.
    assert await cache.any()
