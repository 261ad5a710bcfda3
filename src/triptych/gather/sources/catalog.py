"""The source ``catalog``: an HTTP service that lists a brand's URLs page by page.

``GET <url>?brand=nike&cursor=…`` answers ``{"items": [{"url": "…", "metadata": {…}}], "next":
"…" | null}``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from typing_extensions import override

from triptych.errors import SourceRefused
from triptych.fetch.web_url import parse_web_url, with_query
from triptych.gather.http_reader import DoubtfulAnswer, HttpReader
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.sources.json_text import read_json, show_json
from triptych.shown_url import shown_url

PAGE_MAX_BYTES = 32 * 1024 * 1024
PAGE_DEADLINE_S = 60.0
PAGES_MAX = 1_000_000
CURSOR_MAX_CHARS = 4096
SHOWN_CHARS = 500
"""How much is kept of an item that cannot be read."""


class _Answer(BaseModel):
    """A page as the service sends it; its items are validated one by one."""

    model_config = ConfigDict(extra="ignore", strict=True)

    items: list[Any]
    next: str | None = Field(None, max_length=CURSOR_MAX_CHARS, pattern=r"^[^\x00]*$")


def _or_empty(value: object) -> object:
    # PHP writes an empty object as an empty list.
    return {} if value is None or value == [] else value


class _Item(BaseModel):
    """An item as the service sends it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    url: str = Field(min_length=1)
    metadata: Annotated[dict[str, Any], BeforeValidator(_or_empty)] = Field(default_factory=dict)


class CatalogSource(Source):
    """Lists a brand from an HTTP service, retried with backoff, with an optional bearer token.

    What its first page answers is believed: a 404 is a brand that it does not know. On a later page
    it has answered for the brand before, so any refusal is tried again first, and so is a page that
    is no JSON wherever it is.

    The token goes to the service's own origin only, never along a redirect to another.
    """

    def __init__(self, url: str, asking: HttpReader, *, token: str | None) -> None:
        self._url = url
        self._asking = asking
        self._headers = {"Accept": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        if not brand:
            raise SourceRefused("A service lists one brand.", remedy="Name the brand.")
        # Brent's algorithm: in a cycle of any length the cursor meets the milestone again.
        milestone, steps, stretch = cursor, 0, 1
        for _ in range(PAGES_MAX):
            answer = await self._page(brand, cursor)
            cursor = answer.next or None
            yield Page([_row(item) for item in answer.items], cursor)
            if cursor is None:
                return
            if cursor == milestone:
                raise SourceRefused(
                    f"The source never ends: cursor {cursor[:100]!r} was returned twice."
                )
            steps += 1
            if steps == stretch:
                milestone, steps, stretch = cursor, 0, stretch * 2
        raise SourceRefused(f"The source lists more than {PAGES_MAX} pages.")

    async def _page(self, brand: str, cursor: str | None) -> _Answer:
        query = {"brand": brand} if cursor is None else {"brand": brand, "cursor": cursor}
        try:
            url = with_query(parse_web_url(self._url), query)
        except ValueError as error:
            raise SourceRefused(f"{shown_url(self._url)!r} is not a URL ({error}).") from error
        return await self._asking.read_page(
            url,
            _parse,
            midway=cursor is not None,
            headers=self._headers,
            deadline_s=PAGE_DEADLINE_S,
            max_bytes=PAGE_MAX_BYTES,
        )


def _parse(body: bytes) -> _Answer:
    try:
        return _Answer.model_validate(read_json(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise _unreadable(f"{where}: {first['msg']}", at_once=True) from error
    except ValueError as error:
        # Cut, empty, or an error page: another body may come next time.
        raise _unreadable(str(error), at_once=False) from error


def _unreadable(why: str, *, at_once: bool) -> DoubtfulAnswer:
    return DoubtfulAnswer(
        f"A page of the source cannot be read ({why}).",
        remedy='It must be {"items": [{"url": "…", "metadata": {}}], "next": "…" or null}.',
        at_once=at_once,
    )


def _row(item: Any) -> Row:
    """Read one item; a malformed one becomes a row that fails by itself, not with its page.

    Its JSON, which is never a URL, takes the place of the URL, so that people see it.
    """
    try:
        known = _Item.model_validate(item)
    except ValidationError:
        return Row(show_json(item, SHOWN_CHARS), {})
    return Row(known.url, known.metadata)


def _check(place: str) -> None:
    try:
        parse_web_url(place)
    except ValueError as error:
        raise ValueError(f"The address of a catalogue service is not a URL: {error}.") from error


def _open(place: str, context: SourceContext) -> Source:
    return CatalogSource(place, context.http, token=context.token)


CATALOG = SourceType(
    scheme="catalog",
    title="A catalogue service",
    description="An HTTP service that lists the brand page by page.",
    place="https://…",
    example="https://catalogue.example.com/media",
    open=_open,
    check=_check,
)
