"""Running one export format by itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from triptych.objects import open_store
from triptych.snapshots.exports.export import ExportRequest, export
from triptych.snapshots.exports.export_format import ExportFormat
from triptych.testing.memory_stores import memory_stores
from triptych.testing.pictures import Picture, commit_pictures

PARTS_NAME = "brand"


async def export_pictures(kind: ExportFormat, pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Return the files that a format writes for a snapshot of these pictures, by name.

    Raises:
        AssertionError: the same snapshot did not give the same bytes twice, or a file was not
            closed.
    """
    stores = memory_stores()
    objects = open_store("memory:", Path())
    for one in pictures:
        staged = one.staged()
        await objects.put_as(staged.object_key, one.content, staged.media_type)
    run = await commit_pictures(stores, pictures)
    written = []
    for _ in range(2):
        files = _Files()
        wanted = ExportRequest(run.id, PARTS_NAME, kind, files.open)
        await export(stores.snapshots, objects, wanted)
        written.append(files.closed())
    if written[0] != written[1]:
        raise AssertionError("The same snapshot did not give the same bytes twice.")
    return written[0]


class _Files:
    """Files in memory."""

    def __init__(self) -> None:
        self._opened: dict[str, _File] = {}

    def open(self, name: str) -> IO[bytes]:
        self._opened[name] = _File()
        return self._opened[name]

    def closed(self) -> dict[str, bytes]:
        """Return the files' contents; all must have been closed."""
        for name, file in self._opened.items():
            if not file.closed:
                raise AssertionError(f"The file {name} was not closed.")
        return {name: file.content for name, file in self._opened.items()}


class _File(io.BytesIO):
    """Keeps its content when it is closed."""

    content = b""

    def close(self) -> None:
        """Keep the content, once."""
        if not self.closed:
            self.content = self.getvalue()
        super().close()
