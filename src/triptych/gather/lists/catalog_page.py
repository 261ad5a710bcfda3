"""A page of a catalogue service: its JSON, and the items in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from triptych.gather.lists.bounds import ITEMS_MAX, VALUES_MAX
from triptych.gather.lists.exchange import CURSOR, CURSOR_MAX_CHARS, ListRecord
from triptych.gather.sources.json_text import count_values, read_json, show_json

SHOWN_CHARS: Final = 500
"""How much is kept of an item that cannot be read."""
FEWER: Final = "Return fewer items per page."
SHAPE: Final = 'It must be {"items": [{"url": "…", "metadata": {}}], "next": "…" or null}.'


class _Answer(BaseModel):
    """A page as the service sends it; its items are validated one by one."""

    model_config = ConfigDict(extra="ignore", strict=True)

    items: list[Any]
    next: str | None = Field(None, max_length=CURSOR_MAX_CHARS, pattern=CURSOR)


def _or_empty(value: object) -> object:
    # PHP writes an empty object as an empty list.
    return {} if value is None or value == [] else value


class _Item(BaseModel):
    """An item as the service sends it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    url: str = Field(min_length=1)
    metadata: Annotated[dict[str, Any], BeforeValidator(_or_empty)] = Field(default_factory=dict)


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
        answer = _Answer.model_validate(read_json(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise _unreadable(f"{where}: {first['msg']}", at_once=True) from error
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
    try:
        known = _Item.model_validate(item)
    except ValidationError:
        return ListRecord("", [show_json(item, SHOWN_CHARS)], [{}])
    return ListRecord("", [known.url], [known.metadata])
