"""Which encoding a web page is in (HTML Standard §13.2.3.2), and its text."""

from __future__ import annotations

import codecs
import re

PRESCAN_BYTES = 4096
"""How much is searched for a meta element; browsers read 1,024 bytes."""
FALLBACK = "windows-1252"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
AS_BROWSERS = {
    **dict.fromkeys(("iso8859-1", "ascii", "latin-1", "latin1"), FALLBACK),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
"""What a name stands for in pages (Encoding Standard §4.2), by Python's name of what it says."""
_META = re.compile(
    rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE
)
_PARAMETER = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


def page_text(body: bytes | bytearray, content_type: str) -> str:
    """Return a page's text: by its byte order mark, its server, its meta element, or its bytes.

    Bytes that are not valid in that encoding become U+FFFD, as in browsers. Never raises.
    """
    for bom, name in BOMS:
        if body.startswith(bom):
            return body.decode(name, "replace")
    served = _PARAMETER.search(content_type)
    if served is not None and (name := _known(served[1])):
        return body.decode(name, "replace")
    declared = _META.search(bytes(body[:PRESCAN_BYTES]))
    if declared is not None and (name := _known(declared[1].decode("ascii"))):
        # A page whose meta element can be read as ASCII is not in UTF-16.
        return body.decode("utf-8" if name.startswith("utf-16") else name, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode(FALLBACK, "replace")


def _known(label: str) -> str:
    """Return the encoding that a label stands for; empty if there is none that makes text."""
    try:
        name = codecs.lookup(label).name
        # Some codecs make bytes of bytes; these are refused only when there are some.
        b" ".decode(name)
    except (LookupError, ValueError):
        return ""
    return AS_BROWSERS.get(name, name)
