"""The source ``manifest``: a CSV, JSON Lines or Parquet file with a column ``url``.

Its other columns are metadata. The place is a path, an HTTP URL or an object store's URL;
``{brand}`` in it is replaced. A file with a column ``brand`` gives each brand its own rows.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import quote

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url
from typing_extensions import override
from yarl import URL

from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.http_reader import HttpReader, TryAgain, pause, request
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.sources.table_rows import read_rows

DOWNLOAD_MAX_BYTES = 16 * 1024**3
DOWNLOAD_DEADLINE_S = 3600.0
CHUNK_BYTES = 1024 * 1024
OBJECT_SCHEMES = ("s3://", "gs://", "az://", "file://")
HTTP_SCHEMES = ("http://", "https://")


class ManifestSource(Source):
    """Lists a brand from a file. Holds one page of rows in memory, whatever the file's length.

    A cursor is the number of rows read, so reading the same file continues where it stopped.
    """

    def __init__(self, place: str, asking: HttpReader, *, page_rows: int) -> None:
        self._place = place
        self._asking = asking
        self._page_rows = page_rows

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        async with self._local(brand) as path:
            offset = _offset(cursor)
            rows = await asyncio.to_thread(read_rows, path, self._name(brand), brand, offset)
            page = await asyncio.to_thread(_take, rows, self._page_rows)
            while True:
                # Read one page ahead, to know which page is the last.
                following = await asyncio.to_thread(_take, rows, self._page_rows)
                offset += len(page)
                yield Page(
                    [row for row in page if row is not None], str(offset) if following else None
                )
                if not following:
                    return
                page = following

    def _name(self, brand: str) -> str:
        return self._place.replace("{brand}", quote(brand, safe=""))

    @asynccontextmanager
    async def _local(self, brand: str) -> AsyncIterator[Path]:
        """Yield the file on this machine; a remote one for as long as it is read."""
        name = self._name(brand)
        if not name.startswith(HTTP_SCHEMES + OBJECT_SCHEMES):
            yield await asyncio.to_thread(_existing, name)
            return
        with tempfile.NamedTemporaryFile(prefix="triptych-manifest-") as file:
            if name.startswith(HTTP_SCHEMES):
                await self._download(URL(name), file)
            else:
                await asyncio.to_thread(_copy_object, name, file)
            file.flush()
            yield Path(file.name)

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
                    return
            except TryAgain as error:
                await pause(attempt, error)


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise SourceRefused(f"There is no file {path}.", remedy="Check the path after manifest:.")
    return path


def _copy_object(url: str, file: IO[bytes]) -> None:
    """Copy an object into a file; blocks.

    Not with obstore's asynchronous calls: a process that ends soon after one may abort.
    """
    parent, _, name = url.rpartition("/")
    try:
        for chunk in obstore.get(from_url(parent), name).stream(min_chunk_size=CHUNK_BYTES):
            _append(file, bytes(chunk))
    except (NotFoundError, FileNotFoundError) as error:
        raise SourceRefused(f"There is no object {url}.") from error
    except (BaseError, OSError, ValueError) as error:
        shown = (str(error) or type(error).__name__).splitlines()[0]
        raise SourceUnavailable(f"{url} cannot be read ({shown}).") from error


def _append(file: IO[bytes], chunk: bytes) -> None:
    if file.tell() + len(chunk) > DOWNLOAD_MAX_BYTES:
        raise SourceRefused(f"The manifest is larger than {DOWNLOAD_MAX_BYTES} bytes.")
    file.write(chunk)


def _offset(cursor: str | None) -> int:
    try:
        return int(cursor or 0)
    except ValueError as error:
        raise SourceRefused(f"{cursor!r} is not a cursor of a manifest.") from error


def _take(rows: Iterator[Row | None], count: int) -> list[Row | None]:
    """Take the next rows; None stands for a row of another brand, so that offsets stay correct."""
    return list(islice(rows, count))


def _open(place: str, context: SourceContext) -> Source:
    return ManifestSource(place, context.http, page_rows=context.page_rows)


MANIFEST = SourceType(
    scheme="manifest",
    title="A list of URLs",
    description="CSV, JSON Lines or Parquet: a path on the server, https:// or s3://.",
    place="PATH_OR_URL",
    example="https://example.com/urls.csv",
    open=_open,
)
