"""Profiles of sources: what may stand in one, what it is for, and that its keys stay hidden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from triptych.errors import SettingsError
from triptych.fetch.request_profiles import OURS, Profiles, parse_proxy
from triptych.fetch.web_url import parse_web_url
from triptych.settings.settings import Settings

SECRET = "s3cret"
CDN = "https://cdn.example.com"


def parse(*profiles: dict[str, Any]) -> Profiles:
    return Profiles.parse(json.dumps(profiles))


def chosen(profiles: Profiles, source: str | None, url: str, *, led_away: bool = False) -> str:
    """Return the User-Agent of the profile that is chosen, which tests use as its name."""
    profile = profiles.choose(source, URL(url), led_away=led_away)
    return (profile.user_agent or "") if profile else ""


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ({"headers": {"X-A": "a\r\nX-B: b"}, "to": [CDN]}, "0.headers: the value of X-A is no"),
        ({"headers": {"X-A": "a\nb"}, "to": [CDN]}, "the value of X-A"),
        ({"headers": {"X-A": "a\x00"}, "to": [CDN]}, "the value of X-A"),
        ({"headers": {"X-A": " a"}, "to": [CDN]}, "the value of X-A"),
        ({"headers": {"X-A": ""}, "to": [CDN]}, "the value of X-A"),
        ({"headers": {"X-A": "\u20ac"}, "to": [CDN]}, "the value of X-A"),
        ({"headers": {"X-A": "x" * 9000}, "to": [CDN]}, "the value of X-A"),
        ({"headers": {"X A": "a"}, "to": [CDN]}, "letters, digits"),
        ({"headers": {"X:A": "a"}, "to": [CDN]}, "letters, digits"),
        ({"headers": {"": "a"}, "to": [CDN]}, "letters, digits"),
        ({"headers": {"X-A\r\nX-B": "a"}, "to": [CDN]}, "letters, digits"),
        ({"headers": {"X-A": "a", "x-a": "b"}, "to": [CDN]}, "named twice"),
        *[({"headers": {name.title(): "a"}, "to": [CDN]}, "not for a profile") for name in OURS],
        ({"headers": {"Authorization": SECRET}}, "name with `to` the origins"),
        ({"headers": {"X-Whatever": SECRET}}, "name with `to` the origins"),
        ({"user_agent": "a\r\nb"}, "0.user_agent: is no header's value"),
        ({"to": ["cdn.example.com"]}, "an origin is https://host"),
        ({"to": ["ftp://cdn.example.com"]}, "an origin is https://host"),
        ({"to": [CDN + "/path"]}, "an origin is https://host"),
        ({"to": ["https://me:pw@cdn.example.com"]}, "an origin is https://host"),
        ({"to": ["https://"]}, "0.to"),
        ({"to": ["https:///cdn.example.com"]}, "an origin is https://host"),
        ({"to": [CDN + "#a"]}, "an origin is https://host"),
        ({"to": [CDN + "?"]}, "an origin is https://host"),
        ({"to": ["https://1.2.3.4.5"]}, "an origin is https://host"),
        ({"proxy": "socks5://proxy:1080"}, "a proxy is named as http://host:port"),
        ({"proxy": f"http://me:{SECRET}@proxy:3128/path"}, "a proxy is named as"),
        ({"proxy": "proxy:3128"}, "a proxy is named as"),
        ({"header": {}}, "0.header: Extra inputs"),
        ({"headers": {f"X-{n}": "a" for n in range(60)}, "to": [CDN]}, "0.headers"),
    ],
)
def test_what_may_not_stand_in_a_profile(profile: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(profile)
    assert error.value.field == "TRIPTYCH_FETCH_PROFILES"
    assert says in str(error.value)
    assert SECRET not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["[", "[1]", '[{"to": 1}]', "[" * 100_000])
def test_what_is_no_list_of_profiles(text: str) -> None:
    with pytest.raises(SettingsError):
        Profiles.parse(text)


def test_without_the_setting_there_are_none() -> None:
    for text in (None, "", " "):
        assert Profiles.parse(text).choose("x", URL(CDN)) is None


def test_a_file_may_hold_them(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    path.write_text(json.dumps([{"user_agent": "filed"}]))
    assert chosen(Profiles.parse(str(path)), None, CDN) == "filed"
    with pytest.raises(SettingsError, match="cannot be read"):
        Profiles.parse(str(tmp_path / "nowhere.json"))


def test_the_first_that_fits_source_and_origin_is_chosen() -> None:
    profiles = parse(
        {"source": "catalog:https://a.example/list", "to": [CDN], "user_agent": "exact"},
        {"source": "catalog:https://b.example/*", "user_agent": "begins"},
        {"to": ["https://*.cdn.example"], "user_agent": "below"},
        {"to": ["http://x.example:8080"], "user_agent": "port"},
    )
    assert chosen(profiles, "catalog:https://a.example/list", f"{CDN}/1.png") == "exact"
    assert chosen(profiles, "catalog:https://a.example/list2", f"{CDN}/1.png") == ""
    assert chosen(profiles, "catalog:https://a.example/list", "http://cdn.example.com/") == ""
    assert chosen(profiles, "catalog:https://a.example/list", f"{CDN}:8443/") == ""
    assert chosen(profiles, "catalog:https://a.example/list", f"{CDN}.evil.example/") == ""
    assert chosen(profiles, "catalog:https://b.example/x", "https://any.example/") == "begins"
    assert chosen(profiles, "catalog:https://b.example.evil/x", "https://any.example/") == ""
    assert chosen(profiles, None, "https://1.cdn.example/") == "below"
    assert chosen(profiles, None, "https://1.CDN.example./") == "below"
    assert chosen(profiles, None, "https://cdn.example/") == ""
    assert chosen(profiles, None, "https://evilcdn.example/") == ""
    assert chosen(profiles, None, "http://x.example:8080/") == "port"
    assert chosen(profiles, None, "http://x.example/") == ""


@pytest.mark.parametrize("host", ["BÜCHER.example", "i❤.example", "127.1", "ex%61mple.com"])
def test_an_origin_and_a_url_have_the_same_host(host: str) -> None:
    profiles = parse({"to": [f"https://{host}"], "user_agent": "named"})
    profile = profiles.choose(None, parse_web_url(f"https://{host}/a"))
    assert profile is not None
    assert profile.user_agent == "named"


def test_a_profile_with_keys_is_passed_over_once_led_away() -> None:
    profiles = parse(
        {"to": [CDN], "headers": {"X-Key": SECRET}, "user_agent": "keys"},
        {"headers": {"Referer": "https://shop.example/"}, "user_agent": "plain"},
    )
    assert chosen(profiles, None, CDN) == "keys"
    assert chosen(profiles, None, CDN, led_away=True) == "plain"


def test_no_key_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(
        [{"to": [CDN], "headers": {"X-Key": SECRET}, "proxy": f"http://me:{SECRET}@proxy:3128"}]
    )
    monkeypatch.setenv("TRIPTYCH_FETCH_PROFILES", text)
    monkeypatch.setenv("TRIPTYCH_FETCH_PROXY", f"http://me:{SECRET}@proxy:3128")
    settings = Settings.load()
    assert SECRET not in repr(settings) + str(settings.shown())
    assert settings.shown()["fetch_proxy"] == settings.shown()["fetch_profiles"] == "*" * 10
    profile = Profiles.parse(text).choose(None, URL(CDN))
    assert profile is not None
    assert SECRET in profile.headers["X-Key"]
    assert SECRET not in repr(profile)


def test_a_proxy_may_have_credentials() -> None:
    assert parse_proxy("http://me:pw@proxy:3128").password == "pw"
    assert parse_proxy("https://proxy.example").port == 443
    assert parse_proxy("http://me:p%40%2F@Prox\u00fc:3128/").password == "p@/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "proxy:3128",
        "ftp://proxy",
        "http://proxy/a",
        "http://proxy?a",
        "http://me:pw@a b",
        "http://",
    ],
)
def test_what_names_no_proxy_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match="a proxy is named as") as error:
        parse_proxy(text)
    assert "pw" not in str(error.value)
