"""A page of a catalogue service: its JSON, and the items in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from triptych.gather.lists.bounds import ITEMS_MAX, VALUES_MAX
from triptych.gather.lists.exchange import CURSOR, CURSOR_MAX_CHARS, ListRecord
from triptych.gather.sources.json_text import count_values, read_json, show_json

SHOWN_CHARS: Final = 500
"""How much is kept of an item that cannot be read."""
FEWER: Final = "Return fewer items per page."
SHAPE: Final = 'It must be {"items": [{"url": "…", "metadata": {}}], "next": "…" or null}.'


class _Answer(msgspec.Struct, frozen=True):
    """A page as the service sends it; its items are read one by one."""

    items: list[Any]
    next: Annotated[str, msgspec.Meta(max_length=CURSOR_MAX_CHARS, pattern=CURSOR)] | None = None


class Doubted(Exception):
    """A page that cannot be right, but may be another next time."""

    def __init__(self, why: str, remedy: str, *, at_once: bool) -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy
        self.at_once = at_once
        """See `DoubtfulAnswer`."""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of a service or a site; its items are read one by one. See `ListPage`."""

    records: Iterable[ListRecord]
    cursor: str | None = None
    links: Sequence[str] = ()
    is_index: bool = False


def parse_page(body: bytes | bytearray) -> DocumentPage:
    """Parse a page; blocks, and may take much memory.

    Raises:
        Doubted: it is no JSON, has another shape, or too many items.
    """
    if (values := count_values(body)) > VALUES_MAX:
        raise Doubted(
            f"A page of the source has some {values} values; {VALUES_MAX} are read.",
            FEWER,
            at_once=True,
        )
    try:
        answer = msgspec.convert(read_json(body), _Answer)
        (answer.next or "").encode()
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        # Also a cursor with half of a surrogate pair, which no request can be made with.
        raise _unreadable(str(error), at_once=True) from error
    except ValueError as error:
        # Cut, empty, or an error page: another body may come next time.
        raise _unreadable(str(error), at_once=False) from error
    if len(answer.items) > ITEMS_MAX:
        raise Doubted(
            f"A page of the source has {len(answer.items)} items; {ITEMS_MAX} are read.",
            FEWER,
            at_once=True,
        )
    return DocumentPage(map(_record, answer.items), answer.next or None)


def _unreadable(why: str, *, at_once: bool) -> Doubted:
    return Doubted(f"A page of the source cannot be read ({why}).", SHAPE, at_once=at_once)


def _record(item: Any) -> ListRecord:
    """Read one item; a malformed one becomes a row that fails by itself, not with its page.

    Its JSON, which is never a URL, takes the place of the URL, so that people see it.
    """
    if isinstance(item, dict) and isinstance(url := item.get("url"), str) and url:
        # PHP writes an empty object as an empty list.
        metadata = {} if item.get("metadata") in (None, []) else item["metadata"]
        if isinstance(metadata, dict):
            return ListRecord("", [url], [metadata])
    return ListRecord("", [show_json(item, SHOWN_CHARS)], [{}])
