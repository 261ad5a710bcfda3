"""The encoding of a page, as browsers find it."""

from __future__ import annotations

import codecs

import pytest

from triptych.gather.documents.html_text import page_text

GREEN = "<title>Grün – 緑</title>"
EURO = "<title>5 €</title>"


@pytest.mark.parametrize(
    ("body", "served", "text"),
    [
        (GREEN.encode(), "", GREEN),
        (GREEN.encode(), "text/html; charset=utf-8", GREEN),
        (codecs.BOM_UTF8 + GREEN.encode(), "text/html; charset=latin1", GREEN),
        (GREEN.encode("utf-16"), "text/html", GREEN),
        (
            "<title>緑</title>".encode("shift_jis"),
            "text/html; charset=Shift_JIS",
            "<title>緑</title>",
        ),
        (EURO.encode("cp1252"), "", EURO),
        (EURO.encode("cp1252"), "text/html; charset=ISO-8859-1", EURO),
        (
            b'<meta http-equiv=x content="text/html; charset=gb2312"><p>' + "绿".encode("gb18030"),
            "",
            '<meta http-equiv=x content="text/html; charset=gb2312"><p>绿',
        ),
        (b"<meta charset=utf-16>\xc3\xbc", "", "<meta charset=utf-16>ü"),
        ("ü".encode(), "text/html; charset=nothing-known", "ü"),
        ("ü".encode(), "text/html; charset=base64", "ü"),
        (b"\xff\xfeab\xd8", "", "\u6261\ufffd"),
        (b"a\xffb", "text/html; charset=utf-8", "a\ufffdb"),
    ],
)
def test_a_page_is_read_as_browsers_read_it(body: bytes, served: str, text: str) -> None:
    assert page_text(body, served) == text
