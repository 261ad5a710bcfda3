"""Reading sitemaps, feeds, products and web pages: requested here, parsed in another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType

import aiohttp
from yarl import URL

from triptych.errors import SourceRefused
from triptych.gather.http_reader import DoubtfulAnswer, Received
from triptych.gather.lists.exchange import DocumentHead, DocumentKind, Request
from triptych.gather.lists.list_parsers import (
    MEMORY_MAX_BYTES,
    ListParser,
    PageDoubted,
    ParsedPage,
    list_parser,
)
from triptych.gather.source_type import SourceContext

STEP_CPU_S = 30
"""CPU time that a parser may take for one document."""
PART_RECORDS = 1000
"""Records that come from the parser at once."""
CONTENT_TYPE = "Content-Type"


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was received and parsed."""

    url: URL
    """Where it came from, after redirects."""
    size: int
    """Bytes of its body."""
    page: ParsedPage


def anywhere(_: URL) -> bool:
    """Follow every redirect."""
    return True


def whatever(_: aiohttp.ClientResponse) -> None:
    """Read every good answer."""


class DocumentReader:
    """Reads one kind of documents; its parser starts with the first, and again if it was lost.

    The source's token goes to the origin of its own place only, whatever a document links to.
    """

    def __init__(
        self, kind: DocumentKind, home: URL, context: SourceContext, *, accept: str
    ) -> None:
        self._kind = kind
        self._home = home.origin()
        self._context = context
        self._accept = accept
        self._stack = AsyncExitStack()
        self._parser: ListParser | None = None

    async def __aenter__(self) -> DocumentReader:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def read(
        self,
        url: str | URL,
        *,
        max_bytes: int,
        midway: bool = False,
        follow: Callable[[URL], bool] = anywhere,
        check: Callable[[aiohttp.ClientResponse], None] = whatever,
    ) -> Document:
        """Return the document at ``url``; see `HttpReader.read_document`.

        Raises:
            SourceUnavailable: it did not answer in spite of retries.
            SourceRefused: it is none, or cannot be read. Others may still be.
        """
        return await self._context.http.read_document(
            url,
            self._parse,
            midway=midway,
            headers=self.headers(url),
            max_bytes=max_bytes,
            follow=follow,
            check=check,
        )

    def headers(self, url: str | URL) -> Mapping[str, str]:
        """Return the headers of a request: with the token only to the origin of the place."""
        sent = {"Accept": self._accept}
        token = self._context.token
        if token is not None and _origin(url) == self._home:
            sent["Authorization"] = f"Bearer {token}"
        return sent

    async def _parse(self, received: Received) -> Document:
        head = DocumentHead(
            str(received.url),
            received.headers.get(CONTENT_TYPE, ""),
            self._context.opt_outs,
        )
        parser = await self._started()
        try:
            page = await parser.parse(received.body, head)
        except PageDoubted as doubt:
            raise DoubtfulAnswer(
                doubt.message, remedy=doubt.remedy or "", at_once=doubt.at_once
            ) from doubt
        except SourceRefused:
            # It has ended with this document; the next one gets another.
            await self._stack.aclose()
            self._parser = None
            raise
        return Document(received.url, len(received.body), page)

    async def _started(self) -> ListParser:
        if self._parser is None:
            self._parser = await self._stack.enter_async_context(list_parser())
            request = Request(
                parts=None,
                documents=self._kind,
                page_rows=PART_RECORDS,
                memory_max_bytes=MEMORY_MAX_BYTES,
                step_cpu_s=STEP_CPU_S,
            )
            await self._parser.ask(request)
        return self._parser


def _origin(url: str | URL) -> URL | None:
    try:
        return URL(url).origin()
    except ValueError:
        return None
