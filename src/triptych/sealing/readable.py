"""Which part of a source or an address may be read by everybody who reads the database.

Userinfo, queries and fragments of URLs hold passwords, tokens and signatures; the rest names a
place. What a source type of a plug-in puts into its place is not known, so all of it is taken for a
secret as soon as it has more than a name and a path. A secret in the path of a URL is not known for
one.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

SEALED = "?sealed="
"""Follows the readable part of a source, and names what is sealed."""
HIDDEN = "?sealed"
"""Follows the readable part where nobody is to find the rest."""
PATHS = ("manifest", "upload", "urls")
"""Our own schemes whose place, unless it is a URL, is a path or a name."""
WORD_MIN_CHARS = 6
MASK = "****"
_WORDS = re.compile(r"[@?#=;&:/\s]+")
_URL = re.compile(
    r"^((?:[a-z][a-z0-9+.-]*:)*?[a-z][a-z0-9+.-]*://)([^/?#]*)([^?#]*)(.*)$",
    re.IGNORECASE | re.DOTALL,
)
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_MORE = re.compile(r"[@?=;&\s]")
"""What separates a name from what belongs to it, as a password does."""
_REF = re.compile(r"[0-9a-f]{32}")


def readable(text: str) -> str | None:
    """Return the part of a source or URL that holds no secret; None if that is all of it."""
    if (found := _URL.match(text)) is not None:
        start, authority, path, rest = found.groups()
        if "@" in path:
            return str(start)  # A password with a slash in it looks like that.
        host = authority.rpartition("@")[2]
        return None if host == authority and not rest else f"{start}{host}{path}"
    found = _SCHEME.match(text)
    if found is None or found[1] in PATHS or not _MORE.search(text[found.end() :]):
        return None
    return found[0]


def without_secret(text: str) -> str:
    """Return a source or URL as it may be kept in plain text: `HIDDEN` stands for the rest."""
    part = readable(text)
    return text if part is None else f"{part}{HIDDEN}"


def scrubbed(text: str, source: str) -> str:
    """Return a text, such as an error that quotes a source, without what is secret of that.

    The readable part stays. Words of fewer than `WORD_MIN_CHARS` stay too, unless they are quoted
    with what is around them: they would be found everywhere.
    """
    part = readable(source)
    if part is None:
        return text
    found = _URL.match(source)
    rest = found[2].rpartition("@")[0] + " " + found[4] if found is not None else ""
    if found is None or "@" in found[3]:
        rest = source[len(part) :]
    words = {word for word in _WORDS.split(rest) if len(word) >= WORD_MIN_CHARS}
    words |= {unquote(word) for word in words} | {source[source.find(":") + 1 :]}
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, MASK)
    return text


def sealed_ref(source: str) -> str | None:
    """Return the name of what is sealed of a source, as the database has it; None if nothing is."""
    _, mark, ref = source.rpartition(SEALED)
    return ref if mark and _REF.fullmatch(ref) else None
