"""URLs as they are shown: nothing of a secret, whatever its form, and everything else."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.shown_url import (
    encoded_without_credentials,
    is_shown,
    shown_text,
    shown_url,
    without_credentials,
)

SECRET = "S3CR3T"
SHOWN = [
    ("https://h/a.csv", "https://h/a.csv"),
    ("https://h/a.csv?api_key=S3CR3T", "https://h/a.csv?…"),
    ("https://h/a?", "https://h/a?"),
    ("https://user:S3CR3T@h:8/a", "https://…@h:8/a"),
    ("https://S3CR3T@h/a", "https://…@h/a"),
    ("https://:S3CR3T@h", "https://…@h"),
    ("https://a:b@S3CR3T@h/a", "https://…@h/a"),
    ("https://user:S3CR3T%40x@h/a", "https://…@h/a"),
    ("https://user%3AS3CR3T%40h/a", "https://…@h/a"),
    ("https:S3CR3T@h/a?x", "https:…@h/a?…"),
    ("https:\\\\u:S3CR3T@h\\a?S3CR3T", "https:\\\\…@h\\a?…"),
    ("HTTPS://S3CR3T@h/a", "HTTPS://…@h/a"),
    ("ht\ttps://u:S3CR3T@h/a?S3\nCR3T", "https://…@h/a?…"),
    ("manifest:https://h/a.csv?sig=S3CR3T#url-column=Foto&key=sku",
     "manifest:https://h/a.csv?…#url-column=Foto&key=sku"),
    ("catalog:https://h/#access_token=S3CR3T", "catalog:https://h/#access_token=…"),
    ("https://h/m.onnx?t=S3CR3T#sha256=ab", "https://h/m.onnx?…#sha256=ab"),
    ("postgresql://me:S3CR3T@db:5432/x?password=S3CR3T", "postgresql://…@db:5432/x?…"),
    ("postgresql://me:S3CR3T/S3CR3T@db/x", "postgresql://…@db/x"),
    ("postgresql://me:S3CR3T?S3CR3T@db/x", "postgresql://…@db/x"),
    ("postgresql://me:S3CR3T#S3CR3T@db/x", "postgresql://…@db/x"),
    ("postgresql+iam://me@db/x", "postgresql+iam://…@db/x"),
    ("postgresql://me:S3CR3T@a:1,b:2/x", "postgresql://…@a:1,b:2/x"),
    ("mongodb://u:S3CR3T@a:1,b:2/?authSource=S3CR3T", "mongodb://…@a:1,b:2/?…"),
    ("redis://:S3CR3T@h:6379/0", "redis://…@h:6379/0"),
    ("s3://ID:S3CR3T@bucket/a?versionId=1", "s3://…@bucket/a?…"),
    ("https://h/a;jsessionid=S3CR3T", "https://h/a;jsessionid=…"),
    ("https://p/https://u:S3CR3T@h/a", "https://p/https://…@h/a"),
    ("https://p/https%3A%2F%2Fu%3AS3CR3T%40h%2Fa%3Fsig%3DS3CR3T%26v%3D1",
     "https://p/https%3A%2F%2F…@h%2Fa%3Fsig%3D…%26v%3D1"),
    ("shop:me:S3CR3T@place?token=S3CR3T", "shop:…@place?token=…"),
    ("https://[::1]:80/a@b", "https://[::1]:80/a@b"),
    ("manifest:/data/part-?.csv#key=id", "manifest:/data/part-?.csv#key=id"),
    ("urls:0123", "urls:0123"),
    ("embedded:", "embedded:"),
    ("bot/1 (+https://me:S3CR3T@h/?S3CR3T", "bot/1 (+https://…@h/?…"),
    ("1https://S3CR3T@h/", "1https://…@h/"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_a_url_of_the_installation_is_shown_without_userinfo_and_query(
    url: str, shown: str
) -> None:
    assert shown_url(url) == shown
    assert SECRET not in shown
    assert shown_url(shown) == shown, "showing what was shown changes nothing"
    assert is_shown(shown) == (
        SECRET in url or "@" in url.partition("/a@b")[0] or "versionId" in url
    )


CREDENTIALS = [
    *("X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "x-amz-signature"),
    *("AWSAccessKeyId", "Signature", "Policy", "Key-Pair-Id", "X-Goog-Signature"),
    *("X-Goog-Credential", "GoogleAccessId", "sig", "token", "access_token", "api_key", "apikey"),
    *("api-key", "key", "password", "passwd", "pwd", "auth", "hdnts", "hdnea", "__gda__", "secret"),
    *("client_secret", "OSSAccessKeyId", "x-oss-signature", "q-signature", "sign", "auth_key"),
    *("wsSecret", "bcdn_token", "session_id", "X%2DAmz%2DSignature", "to%6ben", "token[]", "jwt"),
]
PLAIN = ["v", "w", "width", "size", "format", "id", "sku", "quality", "crop", "Expires", "variant"]


@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("form", ["?{}={}&v=2", "?v=2&{}={}", "?v=2;{}={}", "?v=2&amp;{}={}"])
def test_an_items_url_is_shown_without_the_values_of_credentials(name: str, form: str) -> None:
    url = "https://cdn.example/a.png" + form.format(name, f"{SECRET}%2F;{SECRET}")
    shown = without_credentials(url)
    assert SECRET not in shown
    assert "v=2" in shown
    assert f"{name}=…" in shown
    assert without_credentials(shown) == shown
    body = orjson.dumps({"url": url, "n": [{"deep": f"see {url} there"}]})
    assert encoded_without_credentials(body).decode() == body.decode().replace(url, shown)


@pytest.mark.parametrize("name", PLAIN)
def test_what_tells_two_pictures_apart_stays(name: str) -> None:
    url = f"https://cdn.example/a.png?a=1&{name}=2"
    assert without_credentials(url) == url
    assert encoded_without_credentials(orjson.dumps(url)) == orjson.dumps(url)


def test_metadata_named_like_credentials_stay() -> None:
    metadata = {"token": "gold", "key": "K?a=1", "password": "x@y", "signature": "red; sig=1"}
    body = orjson.dumps({**metadata, "url": "https://h/a?key=1"})
    assert orjson.loads(encoded_without_credentials(body)) == {
        **metadata,
        "url": "https://h/a?key=…",
    }


def test_urls_in_prose_are_shown_and_the_prose_stays() -> None:
    text = (
        "'https://u:S3CR3T@h/x?a=S3CR3T' is no URL (see <http://h/z?S3CR3T>, postgres://S3CR3T@d).\n"
        "Over plain http: no. Time 12:30; C:\\x; catalog:https://h/?S3CR3T, then."
    )
    assert shown_text(text) == (
        "'https://…@h/x?…' is no URL (see <http://h/z?…>, postgres://…@d).\n"
        "Over plain http: no. Time 12:30; C:\\x; catalog:https://h/?…, then."
    )


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_is_too_odd(text: str, more: str) -> None:
    for odd in (text, f"https://{text}", f"https://{text}@h?{more}", f"s3://{text}?token={more}"):
        once = shown_url(odd)
        assert shown_url(once) == once
        assert isinstance(shown_text(odd), str)
        assert without_credentials(without_credentials(odd)) == without_credentials(odd)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=6, max_size=30))
def test_no_password_of_a_parsable_url_is_shown(password: str) -> None:
    from urllib.parse import quote

    encoded = quote(password, safe="")
    url = f"https://user:{encoded}@h.example/p?q={encoded}"
    assert shown_url(url) == "https://…@h.example/p?…"


@pytest.mark.parametrize(
    "part",
    ["://", "://a@?token=", "%3a%2f%2fa%40%3ftoken%3da", "&token=a", "%25", "https://", "@:"],
)
def test_g8_hostile_texts_take_time_in_proportion(part: str) -> None:
    """A quadratic search of this length would take minutes, and the suite's limit would end it."""
    text = f"https://h/?{part * 100_000}"
    shown_url(text)
    shown_text(text)
    without_credentials(text)
    encoded_without_credentials(orjson.dumps({"@": text}))
