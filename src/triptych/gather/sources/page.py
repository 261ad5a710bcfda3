"""The source ``page``: the pictures of a site's pages, followed from one of them.

Pages are read one after the other, those nearest to the start first, within limits of depth, hosts
and number. robots.txt is kept. What a limit leaves out is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import aiohttp
import msgspec
from typing_extensions import override
from yarl import URL

from triptych.errors import PermanentItemError, SourceRefused, SourceUnavailable
from triptych.fetch.host_throttle import PACE_MAX_S
from triptych.fetch.robots import check_opt_out, directives
from triptych.fetch.web_url import parse_web_url
from triptych.gather.document_reader import Document, DocumentReader
from triptych.gather.http_reader import LeadsAway, TryAgain
from triptych.gather.lists.exchange import DocumentKind
from triptych.gather.page_queue import PageQueue
from triptych.gather.site_robots import SiteRobots
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_cursor import read_cursor, write_cursor
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.web_place import web_location, web_place
from triptych.shown_url import shown_url

DEPTH, PAGES, HOST = "depth", "pages", "host"
"""Options of a place: see `split_place`."""
DEPTH_DEFAULT, DEPTH_MAX = 2, 10
"""Links between the start and the furthest page that is read."""
PAGES_DEFAULT, PAGES_MAX = 200, 5_000
"""Pages of a site that are read."""
HOSTS_MAX = 20
"""Further hosts whose pages are read."""
PAGE_MAX_BYTES = 8 * 1024 * 1024
"""Of one page's HTML."""
PAUSE_S = 0.25
"""Seconds between the starts of two requests, unless robots.txt asks for more (Crawl-delay)."""
REDIRECTS_MAX = 5
FAILED_MAX = 20
"""Pages that may answer 5xx; a site with more has an outage, and is tried again later."""
ACCEPT = "text/html, application/xhtml+xml, */*;q=0.1"
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml", "application/octet-stream"})
"""What a page may be declared as; the last stands for no declaration at all."""
NOT_FOLLOWED = frozenset({"nofollow", "none"})
NONE_REMEDY = (
    "Pictures that scripts or style sheets load are not seen; a sitemap (sitemap:) or a feed "
    "(feed:) may name them."
)


class PictureItself(SourceRefused):
    """What is at a page's URL is a picture."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which pages of a site are read."""

    depth: int = DEPTH_DEFAULT
    pages: int = PAGES_DEFAULT
    hosts: Sequence[str] = ()
    """Further ones besides the start's."""


class _Progress(msgspec.Struct):
    """How far a site was read: its cursor."""

    urls: str = ""
    ends: list[int] = []
    others: str = ""
    """These three are `PageQueue.packed`."""
    at: int = 0
    """The position of the next page."""
    row: int = 0
    """Rows of it that were passed on."""
    found: bool = False
    """Whether there was a picture."""
    failed: int = 0
    """Pages that answered 5xx."""
    too_deep: int = 0
    too_many: int = 0
    elsewhere: int = 0
    """Links that were not followed, by the limit that they are beyond."""


class PageSource(Source):
    """Lists the pictures of a site's pages, breadth first.

    A page that cannot be read is a refused row, and so is each limit that left links out, with
    their number. The start has to be readable. A cursor has all pages that are known, so that after
    a crash no page is requested again but the one that was under way.
    """

    def __init__(self, url: URL, scope: Scope, context: SourceContext) -> None:
        self._url = url
        self._scope = scope
        self._context = context
        self._sites = {_site(url), *(_site(web_place(host)) for host in scope.hosts)}

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        progress = read_cursor(_Progress, cursor)
        queue = PageQueue(self._scope.pages, self._scope.depth)
        queue.begin(str(self._url))
        if progress.urls:
            queue.unpack(progress.urls, progress.ends, progress.others)
        queue.too_deep, queue.too_many = progress.too_deep, progress.too_many
        robots = SiteRobots(self._context.http) if self._context.robots else None
        try:
            async with DocumentReader(
                DocumentKind.WEB_PAGE, self._url, self._context, accept=ACCEPT
            ) as reader:
                walk = _Walk(reader, _Pace(robots), queue, self._sites, self._context)
                async for page in self._walk(walk, progress):
                    yield page
        finally:
            if robots is not None:
                await robots.close()

    async def _walk(self, walk: _Walk, progress: _Progress) -> AsyncIterator[Page]:
        size, queue = self._context.page_rows, walk.queue
        while progress.at < len(queue):
            rows, links = await walk.visit(progress)
            progress.found = progress.found or any(row.url for row in rows)
            rest = rows[progress.row :]
            while len(rest) > size:
                progress.row += size
                yield Page(rest[:size], write_cursor(progress))
                rest = rest[size:]
            ours = [link for link in links if _site_of(link) in self._sites]
            progress.elsewhere += len(links) - len(ours)
            queue.add(ours, found_at=progress.at)
            progress.at, progress.row = progress.at + 1, 0
            progress.urls, progress.ends, progress.others = queue.packed()
            progress.too_deep, progress.too_many = queue.too_deep, queue.too_many
            if progress.at < len(queue):
                yield Page(rest, write_cursor(progress))
                continue
            if not progress.found:
                raise SourceRefused(
                    f"No picture was found on the {len(queue)} pages that were read.",
                    remedy=NONE_REMEDY,
                )
            yield Page([*rest, *self._left_out(progress)], None)

    def _left_out(self, progress: _Progress) -> Sequence[Row]:
        """Return a row for each limit that left links out."""
        depth, pages = self._scope.depth, self._scope.pages
        reasons = {
            f"lead to pages more than {depth} links from the start (#{DEPTH}=)": progress.too_deep,
            f"lead to more pages than the {pages} that are read (#{PAGES}=)": progress.too_many,
            f"lead to other hosts (#{HOST}=)": progress.elsewhere,
        }
        place = shown_url(str(self._url))
        return [
            Row("", {}, place, refused=f"{count} links {reason}, and were not followed.")
            for reason, count in reasons.items()
            if count
        ]


class _Pace:
    """Waits before each request, and asks robots.txt."""

    def __init__(self, robots: SiteRobots | None) -> None:
        self._robots = robots
        self._next_at = 0.0

    async def wait(self, url: URL) -> None:
        """Wait until the site's pace allows a request; raise as `SiteRobots.check`."""
        loop = asyncio.get_running_loop()
        delay = await self._robots.check(url) if self._robots is not None else None
        await asyncio.sleep(max(self._next_at - loop.time(), 0.0))
        self._next_at = loop.time() + min(max(delay or 0.0, PAUSE_S), PACE_MAX_S)


@dataclass(slots=True)
class _Walk:
    """Reads the pages of one walk through a site."""

    reader: DocumentReader
    pace: _Pace
    queue: PageQueue
    sites: set[tuple[str, int]]
    context: SourceContext
    _nofollow: bool = field(default=False, init=False)

    async def visit(self, progress: _Progress) -> tuple[Sequence[Row], Sequence[str]]:
        """Return the rows of the next page, and where it leads.

        Raises:
            SourceUnavailable: the site does not answer.
            SourceRefused: the start cannot be read.
        """
        url, start = self.queue[progress.at], progress.at == 0
        try:
            document = await self._read(url)
        except LeadsAway as error:
            if start:
                raise _moved(error) from error
            return [_refused(url, error.message)], ()
        except PictureItself:
            return [Row(url, {"found_in": "a"}, url)], ()
        except SourceRefused as error:
            if start:
                raise
            return [_refused(url, error.message)], ()
        except SourceUnavailable as error:
            status = error.__cause__.status if isinstance(error.__cause__, TryAgain) else None
            if start or status is None or status < 500 or progress.failed >= FAILED_MAX:
                raise
            progress.failed += 1
            return [_refused(url, f"It answers with HTTP {status}.")], ()
        if document is None:
            return [], ()
        rows = [row for record in document.page.records for row in record.rows()]
        links = document.page.links
        if self._nofollow and links:
            why = "links are not followed: the page asks for it (X-Robots-Tag: nofollow)."
            rows.append(Row("", {}, shown_url(url), refused=f"{len(links)} {why}"))
            links = ()
        return rows, links

    async def _read(self, url: str) -> Document | None:
        """Read a page, along redirects within the site; None if it is a page that is known."""
        target = parse_web_url(url)
        for _ in range(REDIRECTS_MAX + 1):
            await self.pace.wait(target)
            self._nofollow = False
            try:
                return await self.reader.read(
                    target, max_bytes=PAGE_MAX_BYTES, follow=_nowhere, check=self._check
                )
            except LeadsAway as error:
                if _site(error.target) not in self.sites:
                    raise
                target = error.target
                if str(target) in self.queue:
                    return None
                self.queue.know(str(target))
        raise SourceRefused(f"It redirects more than {REDIRECTS_MAX} times.")

    def _check(self, response: aiohttp.ClientResponse) -> None:
        kind = response.content_type
        if kind.startswith("image/"):
            raise PictureItself("It is a picture.")
        if kind not in PAGE_TYPES:
            raise SourceRefused(f"It is {kind[:100]}, no web page.")
        if not self.context.opt_outs:
            return
        try:
            check_opt_out(response.headers)
        except PermanentItemError as error:
            raise SourceRefused(f"The page opts out of its use ({error.detail}).") from error
        said = {
            one for each in response.headers.getall("X-Robots-Tag", []) for one in directives(each)
        }
        self._nofollow = bool(said & NOT_FOLLOWED)


def _moved(error: LeadsAway) -> SourceRefused:
    target = shown_url(str(error.target))
    return SourceRefused(
        f"The page redirects to another host, {target}.", remedy=f"Write page:{target}."
    )


def _refused(url: str, why: str) -> Row:
    return Row("", {}, shown_url(url), refused=f"The page is not read: {why}")


def _nowhere(_: URL) -> bool:
    return False


def _site(url: URL) -> tuple[str, int]:
    """Return what two URLs of one site have in common: the host without www., and an odd port."""
    host, port = url.raw_host or "", url.port or 0
    return host.removeprefix("www.").rstrip("."), 0 if port in {80, 443} else port


def _site_of(link: str) -> tuple[str, int] | None:
    try:
        url = parse_web_url(link)
    except ValueError:
        return None
    return None if url.user is not None or url.password is not None else _site(url)


def split_place(place: str) -> tuple[str, Scope]:
    """Return the start, and the limits that are chosen behind it, which no server is sent.

    They are written as a query in the fragment:
    ``https://example.com/#depth=1&pages=50&host=shop.example.com``.

    Raises:
        ValueError: an option is unknown, or its value is none; a whole sentence.
    """
    path, _, fragment = place.partition("#")
    if "=" not in fragment:
        return path, Scope()
    options = parse_qs(fragment, keep_blank_values=True)
    if unknown := set(options) - {DEPTH, PAGES, HOST}:
        raise ValueError(
            f"A page has no option {', '.join(sorted(unknown))}. "
            f"It has {DEPTH}, {PAGES} and {HOST}."
        )
    hosts = options.get(HOST, [])
    if len(hosts) > HOSTS_MAX:
        raise ValueError(f"{HOST} is given {len(hosts)} times; {HOSTS_MAX} further hosts are read.")
    for host in hosts:
        if web_place(host).raw_path != "/":
            raise ValueError(f"{HOST} is a host alone, not {host[:100]!r}.")
    return path, Scope(
        _number(options, DEPTH, DEPTH_DEFAULT, 0, DEPTH_MAX),
        _number(options, PAGES, PAGES_DEFAULT, 1, PAGES_MAX),
        tuple(hosts),
    )


def _number(options: dict[str, list[str]], name: str, default: int, least: int, most: int) -> int:
    values = options.get(name)
    if values is None:
        return default
    text = values[-1]
    if not (text.isascii() and text.isdigit() and least <= int(text[:10]) <= most):
        raise ValueError(f"{name} is a number from {least} to {most}, not {text[:20]!r}.")
    return int(text)


def _check(place: str) -> None:
    web_place(split_place(place)[0])


def _location(place: str) -> str:
    return web_location(split_place(place)[0])


def _open(place: str, context: SourceContext) -> Source:
    start, scope = split_place(place)
    return PageSource(web_place(start), scope, context)


PAGE = SourceType(
    scheme="page",
    title="A website",
    description="The pictures of a site's pages, followed from this one; robots.txt is kept.",
    place="URL",
    example="https://example.com/collection",
    open=_open,
    check=_check,
    location=_location,
)
