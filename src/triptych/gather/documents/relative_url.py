"""URLs in a document, which are relative to where it came from."""

from __future__ import annotations

from ada_url import join_url

INLINE = ("data:", "blob:", "about:", "javascript:")
"""Schemes of what is in a page itself, or nowhere."""
SHOWN_CHARS = 100


def resolved(text: str, base: str) -> str:
    """Return a URL of a document as an absolute one.

    One that is not valid comes back as it is: its item fails with what is wrong with it.
    """
    given = text.strip()
    try:
        return join_url(base, given)
    except ValueError:
        return given


def is_inline(url: str) -> bool:
    """Return whether a URL names nothing that can be requested."""
    return url.lstrip()[:12].lower().startswith(INLINE)
