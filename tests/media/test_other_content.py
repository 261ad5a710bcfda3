"""What is no picture is named, with what to do: pages, logins, errors, pointers, other media."""

from __future__ import annotations

import gzip
import time

import pytest

from triptych.media.other_content import READ_BYTES, describe_content

ITSELF = "the URL has to lead to the picture itself"
LOGIN = b"""<!-- v2 --><!doctype html><html><head><title>
  Log in &ndash; Acme </title></head><body><form><input name=u><input name="p" type='password'>"""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<!DOCTYPE html><html><body>403</body></html>", f"an HTML page: {ITSELF}"),
        (b"\n <html>", f"an HTML page: {ITSELF}"),
        (b"\xef\xbb\xbf<html>", f"an HTML page: {ITSELF}"),
        ("<html><title>Größe</title>".encode("utf-16"), "an HTML page with the title “Größe”"),
        ("<html><title>Größe</title>".encode("latin-1"), "an HTML page with the title “Gr\ufffd"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'><html>", "an HTML page: "),
        (b"<!DOCTYPE html><body><svg xmlns='http://www.w3.org/2000/svg'/>", "an HTML page"),
        (b"<title>Just a moment...</title>", "an HTML page with the title “Just a moment...”"),
        (LOGIN, "an HTML page that asks for a password with the title “Log in – Acme”: use URLs"),
        (b'<?xml version="1.0"?><rss/>', f"XML that is not SVG but <rss>: {ITSELF}"),
        (b"<!DOCTYPE x><ns:feed>", "XML that is not SVG but <ns:feed>"),
        (
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            "the error “AccessDenied” of an object store: renew the URL or its access",
        ),
        (b'{"error": "gone"}', 'JSON, often an error of the server: “{"error": "gone"}”'),
        (b"[" * 5000, f"JSON, often an error of the server: “{'[' * 79}…”"),
        (b"Not\n  found\x1b[0m", "text: “Not found\ufffd[0m”"),
        ("Zugriff verweigert: ä".encode() * 9000, "text: “Zugriff"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS"),
        (b"%PDF-1.7\n\x93", "a document (application/pdf), which is not decoded"),
        (b"%PDF-1.7", "a document (application/pdf), which is not decoded"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video (video/mp4), which is not decoded"),
        (b"%!PS-Adobe-3.0\n", "a PostScript document (application/postscript), which is not"),
        (b"\0" * 100, "nothing but zero bytes"),
        (b" \n", "nothing but zero bytes"),
        (gzip.compress(b"x", mtime=0), "of an unknown format; its first bytes are 1f 8b 08"),
        (b"\x00asm\x01\x00", "of an unknown format; its first bytes are 00 61 73 6d"),
    ],
)
def test_a_body_is_named(body: bytes, says: str) -> None:
    assert describe_content(body).startswith(says)


@pytest.mark.parametrize(
    "part",
    [
        b"<!-- -->",
        b"<!--",
        b"<?",
        b"<title",
        b"<title>",
        b"<input ",
        b"<input type",
        b"<!",
        b"<Code>",
    ],
)
@pytest.mark.parametrize("before", [b"", b"<html>", b"<rss>"])
def test_a_hostile_body_is_named_in_time_that_grows_with_its_length(
    part: bytes, before: bytes
) -> None:
    def seconds(length: int) -> float:
        body = (before + part * length)[:length]
        begun = time.process_time()
        described = describe_content(body)
        assert len(described) < 300
        return time.process_time() - begun

    # Sixteen times the length, squared, would be 256 times the time.
    short = min(seconds(READ_BYTES // 16) for _ in range(5))
    assert seconds(READ_BYTES) < 100 * max(short, 1e-4)
