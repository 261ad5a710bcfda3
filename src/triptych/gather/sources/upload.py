"""The source ``upload``: a list that somebody brought as a file (`POST /uploads`).

It is written ``upload:ID``, with the options of a ``manifest`` behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import UUID

from typing_extensions import override

from triptych.errors import SourceRefused
from triptych.gather.list_source import ListSource, opened, split_place
from triptych.gather.lists.columns import ColumnChoice
from triptych.gather.lists.list_parsers import ListPart
from triptych.gather.source import Source
from triptych.gather.source_type import SourceContext, SourceType
from triptych.uploads.upload_files import UploadFiles
from triptych.uploads.upload_store import ID, SCHEME


class UploadSource(ListSource):
    """Lists a brand from an upload, which is on this machine only while it is read."""

    def __init__(
        self, upload_id: UUID, files: UploadFiles | None, choice: ColumnChoice, *, page_rows: int
    ) -> None:
        """``files`` is None where there are no uploads: outside of a server and its workers."""
        super().__init__(choice, page_rows=page_rows)
        self._upload_id = upload_id
        self._files = files

    @override
    @asynccontextmanager
    async def local(self, brand: str) -> AsyncIterator[Sequence[ListPart]]:
        if self._files is None:
            raise SourceRefused(
                "Uploads are kept by a server, and this process does not ask one.",
                remedy="Name the server: --server URL.",
            )
        async with self._files.local(self._upload_id) as (name, path):
            yield [ListPart(name, partial(opened, path))]


def _check(place: str) -> None:
    if ID.fullmatch(split_place(place)[0]) is None:
        raise ValueError("The id of an upload follows: 36 characters, as POST /uploads returns it.")


def _location(place: str) -> str:
    return split_place(place)[0]


def _anybody(_place: str) -> bool:
    # Whose uploads a limited key may name, the API decides: see `check_source`.
    return True


def _open(place: str, context: SourceContext) -> Source:
    upload, choice = split_place(place)
    return UploadSource(
        UUID(upload),
        context.uploads,
        replace(choice, quotes=context.quotes),
        page_rows=context.page_rows,
    )


UPLOAD = SourceType(
    scheme=SCHEME,
    title="A file from your computer",
    description="A list that was uploaded: CSV, Excel, JSON, Parquet, a feed or a sitemap, also "
    "packed as gzip or zip.",
    place="ID",
    example="00000000-0000-4000-8000-000000000000",
    open=_open,
    check=_check,
    remote=_anybody,
    location=_location,
)
