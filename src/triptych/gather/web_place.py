"""The address of a site, a shop, a feed or a sitemap, as people write it."""

from __future__ import annotations

from yarl import URL

from triptych.fetch.web_url import parse_web_url

SECURE = "https://"


def web_location(place: str) -> str:
    """Return an address as a URL: without a scheme, ``example.com/shop``, it is an https one."""
    return place if "://" in place else f"{SECURE}{place}"


def web_place(place: str) -> URL:
    """Return an address as the URL to ask.

    Raises:
        ValueError: it is none, or has credentials in it; a whole sentence.
    """
    try:
        url = parse_web_url(web_location(place))
    except ValueError as error:
        raise ValueError(f"{place[:100]!r} is not the URL of a site ({error}).") from error
    if url.user is not None or url.password is not None:
        raise ValueError(
            "It has a user or a password in it: send them as a header of a profile "
            "(TRIPTYCH_FETCH_PROFILES) instead."
        )
    return url


def check_web_place(place: str) -> None:
    """Accept an address that `web_place` reads.

    Raises:
        ValueError: see `web_place`.
    """
    web_place(place)
