"""The token of a source goes where the deployer said, whatever source somebody names."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from triptych.errors import SettingsError
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_token import SourceToken
from triptych.settings.settings import Settings
from triptych.wiring.installed_sources import source_opener

OWN = "https://catalogue.example.com"


@pytest.mark.parametrize(
    "place", [OWN, f"{OWN}/", f"{OWN}:443/media?x=1", f"catalog:{OWN}/media", OWN.upper()]
)
@pytest.mark.parametrize(
    ("spec", "has_it"),
    [
        (f"catalog:{OWN}", True),
        (f"catalog:{OWN}/other?brand=x", True),
        (f"catalog:{OWN.upper()}", True),
        (f"catalog:{OWN}:443/", True),
        (f"dam:{OWN}/x", True),
        (f"catalog:{OWN}:8443", False),
        (f"catalog:{OWN.replace('https', 'http')}", False),
        (f"catalog:{OWN}.evil.example", False),
        (f"catalog:https://evil.example/{OWN}", False),
        ("catalog:https://catalogue.example.com@evil.example", False),
        ("catalog:https://evil.example#https://catalogue.example.com", False),
        ("catalog:", False),
        ("catalogue", False),
        ("manifest:/etc/passwd", False),
        ("manifest:", False),
    ],
)
def test_the_token_is_bound_to_its_origin(place: str, spec: str, has_it: bool) -> None:
    assert SourceToken.bound("s3cret", [place]).for_source(spec) == ("s3cret" if has_it else None)


def test_a_source_without_a_url_is_bound_as_a_whole() -> None:
    token = SourceToken.bound("s3cret", ["dam:workspace", OWN])
    assert token.for_source("dam:workspace") == "s3cret"
    assert token.for_source("dam:workspace2") is None
    assert "s3cret" not in repr(token)


@pytest.mark.parametrize(
    "place",
    ["http://10.0.0.7:80/x", "http://127.0.0.1", "http://localhost:9", "http://[fd00::1]/"],
)
def test_private_addresses_may_have_it_in_clear_text(place: str) -> None:
    assert SourceToken.bound("s3cret", [place]).for_source(f"catalog:{place}") == "s3cret"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("http://catalogue.example.com", "clear text"),
        ("catalog:http://catalogue.example.com", "clear text"),
        ("http://8.8.8.8", "clear text"),
        ("catalogue.example.com", "neither an origin"),
        ("https://", "names no host"),
        ("dam:", "neither an origin"),
    ],
)
def test_public_addresses_may_not(place: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SourceToken.bound("s3cret", [place])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"source_token": "s3cret"}, "is for no source"),
        ({"source_token": "s3cret", "source": "catalog:http://example.com"}, "clear text"),
        ({"source_token": "s3cret", "source_token_for": ("example.com",)}, "neither an origin"),
    ],
)
async def test_a_worker_does_not_start_with_a_token_for_nobody(
    settings: dict[str, object], says: str
) -> None:
    async with AsyncExitStack() as stack:
        with pytest.raises(SettingsError, match=says) as refused:
            source_opener(Settings.load(**settings), SourceRegistry.discover(), stack)
    assert refused.value.field == "TRIPTYCH_SOURCE_TOKEN_FOR"
