"""The pictures of one entry, of a sitemap or a shop, as records that are not too large."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from triptych.gather.lists.exchange import ListRecord

RECORD_PICTURES = 25
"""Pictures of one record. Each has its metadata, and a record has a limit of bytes."""


def in_records(place: str, pictures: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[ListRecord]:
    """Yield records that have these pictures, each a URL and its metadata, in their order."""
    rest = iter(pictures)
    while part := list(islice(rest, RECORD_PICTURES)):
        yield ListRecord(place, [url for url, _ in part], [each for _, each in part], paired=True)
