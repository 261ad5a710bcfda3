"""URLs as browsers read and send them: parsed and serialised by the WHATWG URL Standard.

`ada_url` parses; it percent-encodes what browsers encode and decodes nothing outside the host, so
that a signature over the text of a request stays valid. yarl, in which aiohttp takes its URLs, only
splits the result (``encoded=True``) and never quotes it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from ada_url import check_url, idna, join_url, normalize_url
from yarl import URL

HTTP = ("http://", "https://")
A_LABEL = "xn--"
"""RFC 5890 §2.3.2.1: how a label of an internationalised name begins on the wire."""
SHOWN_CHARS = 100
"""The most characters of a URL that an error quotes."""
PORT_MAX = 65_535
_PARTS = re.compile(r"(?i)(https?):[/\\]*([^/\\?#]*)")
"""Scheme and authority; for http(s) any slashes, of either kind, stand between them (§4.4)."""
_IGNORED = str.maketrans("", "", "\t\r\n")
"""Removed wherever they are (URL Standard §4.4)."""
_STRIPPED = "".join(map(chr, range(0x21)))
"""C0 controls and the space: removed at both ends (URL Standard §4.4)."""
_NO_HOST_CHARACTER = re.compile(r'[\x00-\x20"#%/:<>?@\[\\\]^`{|}\x7f]')
"""URL Standard §3.1: forbidden domain code points, and ``"``, ``{``, ``}`` and `` ` ``."""
_NUMBER = re.compile(r"(?i)[0-9]+|0x[0-9a-f]*")
_UNDECODED = re.compile("[\udc80-\udcff]")
"""Bytes of a header that are not UTF-8, as aiohttp decodes them (``surrogateescape``)."""


def serialise(text: str) -> str:
    """Return an absolute http(s) URL as browsers serialise it, without its fragment.

    Scheme and host are in lower case, the host in A-labels or as an address in its shortest form;
    the default port is dropped, dot segments are resolved, and an empty path is ``/``. What is
    percent-encoded stays as it is. Serialising the result again does not change it.

    Raises:
        ValueError: browsers refuse it, or it is not http(s); says why.
    """
    try:
        href = normalize_url(text)
    except ValueError as error:
        known = _scalar_values(text)
        if known == text or not check_url(known):
            raise ValueError(_why_refused(text)) from error
        href = normalize_url(known)
    if not href.startswith(HTTP):
        raise ValueError(_why_refused(text))
    return _sent(href)


def parse_web_url(text: str) -> URL:
    """Return an absolute http(s) URL to send a request to; see `serialise`.

    Raises:
        ValueError: browsers refuse it, or it is not http(s); says why.
    """
    return _split(serialise(text))


def resolve_location(location: str, base: URL) -> URL:
    """Return the target of a redirect from ``base``, as browsers resolve a ``Location``.

    Blanks and UTF-8 are percent-encoded, and so are bytes that are not UTF-8; what is
    percent-encoded stays as it is. The target's scheme may be any: the address guard checks it.

    Raises:
        ValueError: it is not a URL; says why.
    """
    text = _UNDECODED.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", location)
    try:
        href = join_url(str(base), text)
    except ValueError as error:
        raise ValueError(_why_refused(text)) from error
    return _split(_sent(href))


def with_query(url: URL, query: Mapping[str, str]) -> URL:
    """Return a URL with parameters added to its query, of which nothing else changes.

    A parameter that the query already has is replaced, at the end.
    """
    text, mark, old = str(url).partition("?")
    kept = [
        part
        for part in old.split("&")
        if part and unquote(part.partition("=")[0].replace("+", " ")) not in query
    ]
    kept += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query.items()]
    return _split(f"{text}?{'&'.join(kept)}" if kept else text + mark)


def _sent(href: str) -> str:
    """Return what is sent of a serialised URL: all but its fragment.

    Raises:
        ValueError: its host has an A-label that stands for no name.
    """
    if A_LABEL in href and href.startswith(HTTP):
        host = href.split("/", 3)[2].rpartition("@")[2].partition(":")[0]
        # The library does not validate labels of a host that is ASCII as it stands, as the
        # standard does (§3.3 with UTS 46); it leaves invalid ones as they are when it decodes.
        if A_LABEL in host and any(
            label.startswith(A_LABEL) for label in idna.decode(host).split(".")
        ):
            raise ValueError(f"its host {host[:SHOWN_CHARS]!r} is not a domain name")
    return href.partition("#")[0] if "#" in href else href


def _split(href: str) -> URL:
    if not href.endswith("?"):
        return URL(href, encoded=True)
    # yarl drops the mark of an empty query, which browsers send: it becomes a part of the path.
    bare = URL(href[:-1], encoded=True)
    if bare.raw_query_string:
        return URL(href, encoded=True)
    return URL.build(
        scheme=bare.scheme, authority=bare.raw_authority, path=bare.raw_path + "?", encoded=True
    )


def _scalar_values(text: str) -> str:
    """Replace lone surrogates as browsers do before they parse (Web IDL, ``USVString``)."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _why_refused(text: str) -> str:
    """Return why a URL is refused, in words: the library only says that it is."""
    parts = _PARTS.match(text.strip(_STRIPPED).translate(_IGNORED))
    if parts is None:
        return "not an absolute http or https URL"
    place = parts[2].rpartition("@")[2]
    found = re.fullmatch(r"(\[[^\]]*\]?[^:]*|[^:]*)(?::(.*))?", place, re.DOTALL)
    host, port = (found[1], found[2] or "") if found else (place, "")
    if not host:
        return "it names no host"
    if port and not (port.isascii() and port.isdigit() and int(port[:10]) <= PORT_MAX):
        return f"its port {port[:SHOWN_CHARS]!r} is not a number from 0 to {PORT_MAX}"
    if host.startswith("["):
        return f"its host {host[:SHOWN_CHARS]} is not an IPv6 address"
    name = unquote(host, errors="replace")
    if (wrong := _NO_HOST_CHARACTER.search(name)) is not None:
        return f"its host {host[:SHOWN_CHARS]!r} has {wrong[0]!r}, which no host has"
    if _NUMBER.fullmatch(name.rstrip(".").rpartition(".")[2]):
        return f"its host {host[:SHOWN_CHARS]} ends in a number and is not an IPv4 address"
    return f"its host {host[:SHOWN_CHARS]!r} is not a domain name"
