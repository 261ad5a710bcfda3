"""The pages of a site that are known, in the order in which they are read."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence

from triptych.errors import SourceRefused

UNPACKED_MAX_BYTES = 64 * 1024 * 1024
"""Of the URLs in a cursor, without their compression."""


class PageQueue:
    """URLs in the order in which they were found, each once, with how far they are from the start.

    Those of one level are read before those of the next, so what is cut by a limit is what is
    furthest away. Never holds more than ``pages_max``.
    """

    def __init__(self, pages_max: int, depth_max: int) -> None:
        self._pages_max = pages_max
        self._depth_max = depth_max
        self._urls: list[str] = []
        self._known: set[str] = set()
        self._ends: list[int] = []
        """Of each level, how many URLs there are up to its end."""
        self.too_deep = 0
        """Links to further pages that are too far from the start."""
        self.too_many = 0
        """Links to further pages that are more than may be read."""

    def __len__(self) -> int:
        return len(self._urls)

    def __getitem__(self, at: int) -> str:
        return self._urls[at]

    def __contains__(self, url: str) -> bool:
        return url in self._known

    def begin(self, url: str) -> None:
        """Put the start in, at level 0."""
        self._urls, self._known, self._ends = [url], {url}, [1]

    def depth(self, at: int) -> int:
        """Return how many links away from the start the page at a position is."""
        return next(level for level, end in enumerate(self._ends) if at < end)

    def add(self, links: Iterable[str], *, found_at: int) -> None:
        """Add what the page at a position links to, as far as it is new and within the limits."""
        depth = self.depth(found_at) + 1
        for url in links:
            if url in self._known:
                continue
            if depth > self._depth_max:
                self.too_deep += 1
            elif len(self._urls) >= self._pages_max:
                self.too_many += 1
            else:
                self._urls.append(url)
                self._known.add(url)
                while len(self._ends) <= depth:
                    self._ends.append(len(self._urls))
                self._ends[depth] = len(self._urls)

    def know(self, url: str) -> None:
        """Note a URL whose page was read under another one, so that it is not read again."""
        self._known.add(url)

    @property
    def others(self) -> Sequence[str]:
        """The URLs that `know` noted, in order of their text."""
        return sorted(self._known.difference(self._urls))

    def packed(self) -> tuple[str, list[int], str]:
        """Return the URLs, the ends of the levels, and the other URLs, as a cursor holds them."""
        return _pack(self._urls), list(self._ends), _pack(self.others)

    def unpack(self, urls: str, ends: Sequence[int], others: str) -> None:
        """Take what `packed` returned.

        Raises:
            SourceRefused: it is not what it returns.
        """
        self._urls, self._ends = _unpack(urls), list(ends)
        self._known = {*self._urls, *_unpack(others)}
        sorted_ends = all(a <= b for a, b in zip(self._ends, self._ends[1:], strict=False))
        if not self._ends or self._ends[-1] != len(self._urls) or not sorted_ends:
            raise _broken()


def _pack(urls: Sequence[str]) -> str:
    if not urls:
        return ""
    # No URL has a line feed in it.
    return base64.b85encode(zlib.compress("\n".join(urls).encode())).decode("ascii")


def _unpack(text: str) -> list[str]:
    if not text:
        return []
    try:
        packed = zlib.decompressobj()
        plain = packed.decompress(base64.b85decode(text), UNPACKED_MAX_BYTES)
        if packed.unconsumed_tail:
            raise _broken()
        return plain.decode().split("\n")
    except (ValueError, zlib.error) as error:
        raise _broken() from error


def _broken() -> SourceRefused:
    return SourceRefused("The cursor has no list of pages.", remedy="Start the run again.")
