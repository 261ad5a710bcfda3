"""URLs as browsers have them, by the test data of the URL Standard.

`urltestdata.json` is ``url/resources/urltestdata.json`` of web-platform-tests, unchanged
(https://github.com/web-platform-tests/wpt; 3-Clause BSD License, copyright web-platform-tests
contributors).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from triptych.errors import InvalidUrl
from triptych.fetch.guard import AddressGuard
from triptych.fetch.web_url import parse_web_url, resolve_location, serialise, with_query
from triptych.gather.urls import normalise

DATA = Path(__file__).with_name("urltestdata.json")
ENTRIES: list[dict[str, Any]] = [
    entry for entry in json.loads(DATA.read_text("utf-8")) if isinstance(entry, dict)
]
WEB = ("http:", "https:")
ABSOLUTE = re.compile(r"(?i)[\x00-\x20]*h[\t\r\n]*t[\t\r\n]*t[\t\r\n]*p[\t\r\n]*s?[\t\r\n]*:")
TAKEN = [entry for entry in ENTRIES if not entry.get("failure") and entry["protocol"] in WEB]
REFUSED = [entry for entry in ENTRIES if entry.get("failure")]
ALONE = [entry for entry in TAKEN if entry.get("base") is None]
BEHIND = [entry for entry in TAKEN if str(entry.get("base")).startswith(WEB)]
REFUSED_ALONE = [
    entry for entry in REFUSED if entry.get("base") is None and ABSOLUTE.match(entry["input"])
]
REFUSED_BEHIND = [entry for entry in REFUSED if str(entry.get("base")).startswith(WEB)]


def sent(entry: dict[str, Any]) -> str:
    return str(entry["href"]).partition("#")[0]


def test_the_data_is_whole() -> None:
    assert (len(ALONE), len(REFUSED_ALONE)) == (118, 154)
    assert (len(BEHIND), len(REFUSED_BEHIND)) == (113, 50)


@pytest.mark.parametrize("entry", ALONE, ids=lambda entry: ascii(entry["input"]))
def test_what_browsers_take_comes_out_as_they_have_it(entry: dict[str, Any]) -> None:
    text = serialise(entry["input"])
    assert text == sent(entry)
    assert serialise(text) == text
    url = parse_web_url(entry["input"])
    assert str(url) == text
    mark = "?" if text.endswith("?") else ""
    assert url.raw_path_qs == entry["pathname"] + (entry["search"] or mark)
    assert (url.raw_host or "").strip("[]") == entry["hostname"].strip("[]")
    assert str(url.port if url.explicit_port else "") == entry["port"]


@pytest.mark.parametrize("entry", REFUSED_ALONE, ids=lambda entry: ascii(entry["input"]))
def test_what_browsers_refuse_is_refused_by_name(entry: dict[str, Any]) -> None:
    with pytest.raises(InvalidUrl, match=r"(?i)it names no host|its (host|port) .*(no|not) "):
        normalise(entry["input"])


@pytest.mark.parametrize("entry", BEHIND, ids=lambda entry: ascii(entry["input"]))
def test_redirects_lead_where_they_lead_browsers(entry: dict[str, Any]) -> None:
    assert str(resolve_location(entry["input"], parse_web_url(entry["base"]))) == sent(entry)


@pytest.mark.parametrize("entry", REFUSED_BEHIND, ids=lambda entry: ascii(entry["input"]))
def test_redirects_that_browsers_refuse_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"host|port|not an absolute"):
        resolve_location(entry["input"], parse_web_url(entry["base"]))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/a b/ü.jpg", "http://h.example/a%20b/%C3%BC.jpg"),
        ("/\udce9.jpg", "http://h.example/%E9.jpg"),
        ("?t=Sale%2C+now&s=1#x", "http://h.example/p/q?t=Sale%2C+now&s=1"),
        ("//cdn.example/a%2fb", "http://cdn.example/a%2fb"),
        ("/e?", "http://h.example/e?"),
        ("../%2e%2e/a", "http://h.example/a"),
        ("ftp://h.example/a", "ftp://h.example/a"),
        ("", "http://h.example/p/q?x"),
    ],
)
def test_locations(location: str, target: str) -> None:
    assert str(resolve_location(location, parse_web_url("http://h.example/p/q?x"))) == target


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://a b/", "its host 'a b' has ' ', which no host has"),
        ("http://h:99999/", "its port '99999' is not a number from 0 to 65535"),
        ("http://h:x/", "its port 'x' is not a number from 0 to 65535"),
        ("http://1.2.3.4.5/", "its host 1.2.3.4.5 ends in a number and is not an IPv4 address"),
        ("http://[::1/", r"its host \[::1 is not an IPv6 address"),
        ("http://xn--a.example/", "its host 'xn--a.example' is not a domain name"),
        ("https://?q", "it names no host"),
        ("www.example.com/a", "not an absolute http or https URL"),
    ],
)
def test_a_refusal_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        serialise(text)


@pytest.mark.parametrize(
    ("host", "is_"),
    [
        ("0x7f.1", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127%2e0%2E0%2e1", "127.0.0.1"),
        ("%31%32%37.1", "127.0.0.1"),
        ("127。0．0｡1", "127.0.0.1"),
        ("１２７.０.０.１", "127.0.0.1"),
        ("①②⑦.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("169.254.43518", "169.254.169.254"),
        ("[::ffff:127.0.0.1]", "::ffff:7f00:1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("loc%61lho%73t", "localhost"),
        ("ＬＯＣＡＬＨＯＳＴ", "localhost"),
        ("ex\u00adam\u200bple.com", "example.com"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),
    ],
)
def test_g9_the_host_that_is_checked_is_the_one_that_is_connected_to(host: str, is_: str) -> None:
    url = parse_web_url(f"http://{host}/")
    assert url.raw_host == is_
    if is_[0] in "1:":
        with pytest.raises(Exception, match="is not a public address"):
            AddressGuard().check_url(url)


@pytest.mark.parametrize("host", ["127.0.0.1%00", "127.0.0.1%2f", "127.0.0.1%20", "[fe80::1%25e]"])
def test_g9_hosts_that_end_early_are_none(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        parse_web_url(f"http://{host}.example/")


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("http://h/a?t=x%2Cy", "http://h/a?t=x%2Cy&brand=A%20%26%20B"),
        ("http://h/a", "http://h/a?brand=A%20%26%20B"),
        ("http://h/a?brand=old&q=1", "http://h/a?q=1&brand=A%20%26%20B"),
        ("http://h/a?br%61nd=old", "http://h/a?brand=A%20%26%20B"),
    ],
)
def test_a_query_is_added_to(url: str, result: str) -> None:
    assert str(with_query(parse_web_url(url), {"brand": "A & B"})) == result


def test_a_query_that_nothing_is_added_to_stays() -> None:
    assert str(with_query(parse_web_url("http://h/a?b=%2c"), {})) == "http://h/a?b=%2c"
    assert str(with_query(URL("http://h/a"), {})) == "http://h/a"
