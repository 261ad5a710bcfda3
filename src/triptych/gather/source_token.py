"""The deployer's token for a source, bound to where it may be sent.

Every operator may name any source. A token that went to all of them could be taken with one
request.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from ipaddress import ip_address

from yarl import URL

from triptych.fetch.web_url import HTTP, parse_web_url
from triptych.settings.source_text import split_source


@dataclass(frozen=True, slots=True)
class SourceToken:
    """A bearer token, and the origins and sources that may have it."""

    value: str = field(repr=False)
    places: frozenset[str]
    """Origins (`https://catalogue.example.com`), and whole sources (`SCHEME:PLACE`)."""

    @classmethod
    def bound(cls, value: str, places: Collection[str]) -> SourceToken:
        """Return a token for these URLs' origins and for these sources.

        Raises:
            ValueError: a place is no URL, or would have the token in clear text over a network that
                may be public; says which and why.
        """
        return cls(value, frozenset(_bound(place) for place in places))

    def for_source(self, spec: str) -> str | None:
        """Return the token if the source ``spec`` may have it."""
        if spec in self.places:
            return self.value
        try:
            return self.value if _origin(split_source(spec)[1]) in self.places else None
        except ValueError:
            return None


def _bound(place: str) -> str:
    if not place.lower().startswith(HTTP):
        _, rest = split_source(place)
        if not rest:
            raise ValueError(f"{place!r} is neither an origin, https://HOST, nor a source")
        if not rest.lower().startswith(HTTP):
            return place
        place = rest
    origin = _origin(place)
    url = URL(origin)
    if url.scheme == "http" and not _stays_near(url.raw_host or ""):
        raise ValueError(f"{origin} would have the token in clear text; only https may")
    return origin


def _origin(place: str) -> str:
    return str(parse_web_url(place).origin())


def _stays_near(host: str) -> bool:
    """Return whether a host is this machine or has an address of a private network."""
    if host == "localhost":
        return True
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False
