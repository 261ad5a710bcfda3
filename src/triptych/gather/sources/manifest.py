"""The source ``manifest``: a list of URLs in whatever form it has (`triptych.gather.lists`).

Its other columns are metadata. The place is a path, a folder, a pattern, an HTTP URL or an object
store's URL; ``{brand}`` in it is replaced. A list with a column ``brand`` gives each brand its own
rows.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO
from urllib.parse import quote

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url
from typing_extensions import override
from yarl import URL

from triptych.errors import SourceRefused, SourceUnavailable
from triptych.fetch.web_url import parse_web_url
from triptych.gather.http_reader import HttpReader, TryAgain, pause, request
from triptych.gather.list_source import ListSource, opened, split_place
from triptych.gather.lists.bounds import expanded_max_bytes
from triptych.gather.lists.columns import ColumnChoice
from triptych.gather.lists.list_parsers import ListPart
from triptych.gather.source import Source
from triptych.gather.source_reach import EVERYWHERE, SourceReach, not_listed
from triptych.gather.source_type import SourceContext, SourceType
from triptych.settings.source_text import Place, PlaceKind, parse_place
from triptych.shown_url import shown_url

DOWNLOAD_MAX_BYTES = 16 * 1024**3
DOWNLOAD_DEADLINE_S = 3600.0
CHUNK_BYTES = 1024 * 1024


class ManifestSource(ListSource):
    """Lists a brand from a file, or from the files of a folder or a pattern, in order of names."""

    def __init__(
        self,
        place: str,
        asking: HttpReader,
        choice: ColumnChoice,
        *,
        page_rows: int,
        reach: SourceReach = EVERYWHERE,
    ) -> None:
        super().__init__(choice, page_rows=page_rows)
        self._place = place
        self._asking = asking
        self._reach = reach

    def _name(self, brand: str) -> str:
        name = self._place.replace("{brand}", quote(brand, safe=""))
        # A brand may be called ~root, and that must not be the home of a user.
        return f"{Path.cwd()}/{name}" if self._place.startswith("{brand}") else name

    @override
    @asynccontextmanager
    async def local(self, brand: str) -> AsyncIterator[Sequence[ListPart]]:
        # With the brand's name in it: it was checked without when it was named.
        place = _parsed(self._name(brand))
        name = place.text
        if place.kind is PlaceKind.FILE:
            with ExitStack() as stack:
                folder = self._reach.folders.opened(name)
                found = await asyncio.to_thread(stack.enter_context, folder)
                yield [ListPart(each, partial(opened, path)) for each, path in found]
            return
        with tempfile.NamedTemporaryFile(prefix="triptych-manifest-") as file:
            if place.kind is PlaceKind.WEB:
                await self._download(_web_url(name), file)
            else:
                if not self._reach.buckets.lists(place):
                    refusal = not_listed(place)
                    raise SourceRefused(refusal.message, remedy=refusal.remedy)
                await asyncio.to_thread(_copy_object, name, file)
            file.flush()
            yield [ListPart(_file_name(name), partial(opened, Path(file.name)))]

    async def _download(self, url: URL, file: IO[bytes]) -> None:
        attempt = 0
        while True:
            attempt += 1
            file.seek(0)
            file.truncate()
            try:
                async with request(
                    self._asking, url, headers={}, deadline_s=DOWNLOAD_DEADLINE_S
                ) as response:
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        await asyncio.to_thread(_append, file, chunk)
                        _check_expansion(file.tell(), response.content.total_raw_bytes)
                    return
            except TryAgain as error:
                await pause(attempt, error)


def _parsed(name: str) -> Place:
    try:
        return parse_place(name)
    except ValueError as error:
        raise SourceRefused(str(error)) from error


def _file_name(url: str) -> str:
    """Return what a remote list is called: its last segment, else the URL as it is shown."""
    shown = shown_url(url).partition("?")[0]
    return shown.rpartition("/")[2] or shown


def _web_url(name: str) -> URL:
    try:
        return parse_web_url(name)
    except ValueError as error:
        raise SourceRefused(f"{shown_url(name)!r} is not a URL ({error}).") from error


def _copy_object(url: str, file: IO[bytes]) -> None:
    """Copy an object into a file; blocks.

    Not with obstore's asynchronous calls: a process that ends soon after one may abort.
    """
    parent, _, name = url.rpartition("/")
    try:
        for chunk in obstore.get(from_url(parent), name).stream(min_chunk_size=CHUNK_BYTES):
            _append(file, bytes(chunk))
    except (NotFoundError, FileNotFoundError) as error:
        raise SourceRefused(f"There is no object {shown_url(url)}.") from error
    except (BaseError, OSError, ValueError) as error:
        shown = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceUnavailable(f"{shown_url(url)} cannot be read ({shown}).") from error


def _append(file: IO[bytes], chunk: bytes) -> None:
    if file.tell() + len(chunk) > DOWNLOAD_MAX_BYTES:
        raise SourceRefused(f"The manifest is larger than {DOWNLOAD_MAX_BYTES} bytes.")
    file.write(chunk)


def _check_expansion(size: int, received: int) -> None:
    """Refuse what a server has compressed for the way and that unpacks to too much."""
    if size > expanded_max_bytes(received):
        raise SourceRefused(
            f"The manifest comes compressed: {received} bytes unpack to more than {size}.",
            remedy="Serve it without Content-Encoding.",
        )


def _check(place: str) -> None:
    found = parse_place(_location(place))
    if found.kind is PlaceKind.WEB:
        try:
            parse_web_url(found.text)
        except ValueError as error:
            raise ValueError(f"{found.text!r} is not a URL ({error}).") from error
    elif found.kind is PlaceKind.OTHER:
        raise ValueError("A list is at an https://, s3://, gs://, az:// or file:// URL, or a path.")


def _location(place: str) -> str:
    """Return the URL or path of a place, with a name where a brand's will be."""
    return split_place(place)[0].replace("{brand}", "brand")


def _open(place: str, context: SourceContext) -> Source:
    path, choice = split_place(place)
    return ManifestSource(
        path,
        context.http,
        replace(choice, quotes=context.quotes),
        page_rows=context.page_rows,
        reach=context.reach,
    )


MANIFEST = SourceType(
    scheme="manifest",
    title="A list of URLs",
    description="CSV, Excel, JSON, Parquet, a feed or a sitemap: a path on the server, https:// or "
    "s3://.",
    place="PATH_OR_URL",
    example="https://example.com/urls.csv",
    open=_open,
    check=_check,
    location=_location,
)
