"""How URLs are shown: without what may be a secret. Two rules, and this is their only definition.

*A URL of the installation's* (a source, a database, a model, a webhook, the target of a redirect,
any URL in an error or a log line) is shown by `shown_url`: without userinfo and without its query,
since any parameter may be a key. *An item's URL* is data that the brand's people brought, and a
parameter may be what tells two pictures apart: `without_credentials` hides userinfo and only the
values of parameters that are known to be signatures or keys.

What is hidden is replaced by `HIDDEN`, so that one sees that there was something. Showing what was
shown changes nothing. ADR 33 says why.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

HIDDEN = "…"
"""What stands for a secret."""
NAMES_MAX = 4096
"""Names of parameters that are remembered with whether they are credentials."""
DECODINGS_MAX = 3
"""How often a name may be percent-encoded and is still known."""

_START = r"(?:https?:[/\\]*|[a-z][a-z0-9+.-]{0,30}:[/\\]{2})"
"""Where a URL begins: after the scheme and the slashes, which browsers do not need for http(s)."""
_BEGIN = re.compile(rf"(?i){_START}")
_IN_PROSE = re.compile(rf"(?i)({_START})([^\s\"<>`]+)")
_IN_JSON = re.compile(r"://([^\s\"\\<>]+)")
_CLOSING = "'\"`)]}>.,;:!"
"""Punctuation of the prose around a URL, not its end."""
_IGNORED = str.maketrans("", "", "\t\r\n")
"""Removed wherever they are in a URL (URL Standard §4.4)."""
_AT = r"(?:@|%(?:25)*40)"
_USERINFO = re.compile(rf"(?i)^.*{_AT}")
_INNER_USERINFO = re.compile(
    rf"(?i)(:[/\\]{{2}}|%(?:25)*3a%(?:25)*2f%(?:25)*2f)"
    rf"(?:(?!%(?:25)*(?:2f|3f|23))[^/\\?#&\s])*?{_AT}(?=[^/\\?#&\s])"
)
"""Of a URL within a URL, as proxies have one in their paths; percent-encoded, too."""
_PLUG_IN_USERINFO = re.compile(r"^([a-z][a-z0-9+.-]{0,30}:)[^\s/\\?#@:]+:[^\s/\\?#@]+@")
"""Of a source that is no URL, ``shop:user:password@place``."""
_AUTHORITY_END = re.compile(r"[/\\?#]")
_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_END = re.compile(r"[&#]")
_ENCODED_END = re.compile(r"(?i)[&#]|%(?:25)*(?:26|23)")
_PARAMETER = re.compile(
    r"(?i)([?&;#]|%(?:25)*(?:3f|26|3b|23))"
    r"((?:(?!%(?:25)*(?:3[fbd]|26|23))[^=&;?#\s]){1,200}?)"
    r"(=|%(?:25)*3d)"
)
"""A parameter's mark, name and equals sign, also of a URL that is percent-encoded in another."""
_NAMES_IN_JSON = tuple(
    re.compile(re.escape(mark) + rb"([^=&;?#\s\"]{1,200})=") for mark in (b"?", b"&", b";", b"#")
)
"""One for each mark: a pattern that begins with a character is sought for much more quickly."""
_USERINFO_IN_JSON = re.compile(rb"://[^\s\"\\/?#]*@")
_ENCODED_IN_JSON = re.compile(rb"(?i)%(?:25)*(?:3d|40)")
_SUSPICIOUS = re.compile(r"(?i)[?&;#=@]|%(?:25)*(?:3[fd]|40)")
_PARTS = re.compile(
    "token|secret|passw|passphrase|signature|credential|accesskey|apikey|authkey|privatekey"
    "|sharedkey|subscriptionkey|licensekey|keypairid|accessid|authorization|bearer|session|sessid"
    "|hdnts|hdntl|hdnea|hmac|jwt"
)
"""Of a name's letters and digits: wherever one of these is, the value is a credential. They cover
AWS (SigV2 and SigV4), CloudFront, Google, Alibaba, Tencent, Akamai, and what others call theirs."""
_NAMES = frozenset(
    {
        *("sig", "sign", "key", "pw", "pwd", "pass", "auth", "policy", "sid", "oauth"),
        *("gda", "oh", "ak", "qak"),
    }
)
"""Names that are credentials as they stand. ``sig`` is Azure's, ``oh`` Facebook's, ``gda`` and
``hdnts`` Akamai's."""
_OPTIONS = frozenset({"key"})
"""Names that are options of a source behind ``#``, and credentials before it."""


def shown_url(url: str) -> str:
    """Return a URL without userinfo and query, also one behind a scheme of Triptych's.

    ``manifest:https://me:pw@host/a.csv?sig=1#key=sku`` becomes
    ``manifest:https://…@host/a.csv?…#key=sku``. Text that is no URL, such as a path, stays as it is
    but for parameters that are known to be credentials.
    """
    text = url.translate(_IGNORED)
    found = _BEGIN.search(text)
    if found is None:
        return _hide_parameters(_PLUG_IN_USERINFO.sub(rf"\1{HIDDEN}@", text))
    return text[: found.end()] + _place(text[found.end() :])


def shown_text(text: str) -> str:
    """Return a text in which every URL is as `shown_url` shows it. Text without URLs is the same.

    A URL ends at a blank, a quote or an angle bracket: to show one that may have these, pass it to
    `shown_url` before it becomes part of a text.
    """
    if ":" not in text:
        return text
    return _IN_PROSE.sub(_prose, text)


def without_credentials(url: str) -> str:
    """Return an item's URL without userinfo, and without the values of credentials in its query.

    ``https://b.s3.example/a.png?v=2&X-Amz-Signature=1f`` becomes
    ``https://b.s3.example/a.png?v=2&X-Amz-Signature=…``.
    """
    if _SUSPICIOUS.search(url) is None:
        return url
    text = url.translate(_IGNORED)
    found = _BEGIN.search(text)
    if found is None:
        return _hide_parameters(text)
    return text[: found.end()] + _hide_in_place(text[found.end() :])


def text_without_credentials(text: str) -> str:
    """Return a text in which every URL is as `without_credentials` shows it."""
    return _IN_JSON.sub(_json, text)


def encoded_without_credentials(body: bytes) -> bytes:
    """Return JSON in which every URL is as `without_credentials` shows it.

    For answers, of which nobody can say where in them a URL may be. One without credentials costs
    a millisecond for a thousand assets whose URLs have a query, and next to nothing if none has.
    """
    if b"://" not in body or not _may_have_credentials(body):
        return body
    return text_without_credentials(body.decode()).encode()


def is_shown(url: str) -> bool:
    """Return whether something of this URL was hidden, so that it is no longer what was given."""
    return f"?{HIDDEN}" in url or f"{HIDDEN}@" in url or f"={HIDDEN}" in url


def _may_have_credentials(body: bytes) -> bool:
    if b"@" in body and _USERINFO_IN_JSON.search(body):
        return True
    if b"%" in body and _ENCODED_IN_JSON.search(body):
        return True
    if b"=" not in body:
        return False
    names = {name for pattern in _NAMES_IN_JSON for name in pattern.findall(body)}
    return any(_is_credential(name.decode(errors="replace")) for name in names)


def _prose(found: re.Match[str]) -> str:
    start, place = found.groups()
    end = len(place.rstrip(_CLOSING))
    return start + _place(place[:end]) + place[end:]


def _json(found: re.Match[str]) -> str:
    place = found[1]
    if _SUSPICIOUS.search(place) is None:
        return found[0]
    return "://" + _hide_in_place(place)


def _place(place: str) -> str:
    """Return what stands behind ``scheme://``, without userinfo and query."""
    authority, rest = _split_authority(place)
    path, mark, fragment = rest.partition("#")
    path, asked, query = path.partition("?")
    shown = _hide_parameters(_INNER_USERINFO.sub(rf"\1{HIDDEN}@", path))
    return (
        authority
        + shown
        + (asked + (HIDDEN if query else ""))
        + (mark + _hide_parameters(mark + fragment)[1:] if mark else "")
    )


def _hide_in_place(place: str) -> str:
    authority, rest = _split_authority(place)
    return authority + _hide_parameters(_INNER_USERINFO.sub(rf"\1{HIDDEN}@", rest))


def _split_authority(place: str) -> tuple[str, str]:
    """Return host and port, their userinfo hidden, and what follows."""
    end = _AUTHORITY_END.search(place)
    at = end.start() if end else len(place)
    authority, rest = place[:at], place[at:]
    if _USERINFO.match(authority):
        return _USERINFO.sub(f"{HIDDEN}@", authority), rest
    if "@" in rest and not _HOST_PORT.fullmatch(authority):
        # "user:pass/word@host": what looks like a port is the start of a password that nobody has
        # encoded.
        return _split_authority(f"{HIDDEN}@{place.rpartition('@')[2]}")
    return authority, rest


def _hide_parameters(text: str) -> str:
    """Return text in which the values of credentials are hidden."""
    shown, at, fragment = "", 0, text.find("#")
    while found := _PARAMETER.search(text, at):
        mark, name, _ = found.groups()
        option = name.lower() in _OPTIONS and 0 <= fragment <= found.start()
        shown += text[at : found.end()]
        at = found.end()
        if option or not _is_credential(name):
            continue
        end = _value_end(text, at, encoded=mark.startswith("%"))
        shown += HIDDEN if end > at else ""
        at = end
    return shown + text[at:]


def _value_end(text: str, start: int, *, encoded: bool) -> int:
    """Return where a value ends; that of an encoded URL ends at an encoded mark, too."""
    found = (_ENCODED_END if encoded else _END).search(text, start)
    return found.start() if found else len(text)


@lru_cache(NAMES_MAX)
def _is_credential(name: str) -> bool:
    for _ in range(DECODINGS_MAX):
        name = unquote(name)
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return letters in _NAMES or _PARTS.search(letters) is not None
