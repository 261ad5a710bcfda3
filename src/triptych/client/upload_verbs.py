"""What a client does with uploads: lists that are brought to a server as files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from triptych.client.connection import Connection
from triptych.wire import Page

if TYPE_CHECKING:
    # FastAPI is slow to import, and only these methods need it.
    from triptych.api.uploads import UploadShown


class UploadVerbs(Connection):
    """Uploads; each names itself as a source."""

    async def upload(self, file: Path, *, name: str | None = None) -> UploadShown:
        """Send a file to the server; ``source`` of the answer is checked and started from.

        ``name``: how people see it; by default the file's own name.

        Raises:
            BodyTooLarge: it has more bytes than an upload may have.
            OSError: it cannot be read.
        """
        from triptych.api.uploads import UploadShown

        query = {"name": name or file.name}
        return await self._send_file("/uploads", file, UploadShown, query)

    async def uploads(self) -> AsyncIterator[UploadShown]:
        """Yield the uploads that are kept, newest first."""
        from triptych.api.uploads import UploadShown

        async for upload in self._pages("/uploads", Page[UploadShown]):
            yield upload

    async def upload_info(self, upload: UUID) -> UploadShown:
        """Return what is known of an upload.

        Raises:
            NotFound: there is none of that id.
        """
        from triptych.api.uploads import UploadShown

        return await self._get(f"/uploads/{upload}", UploadShown)

    async def delete_upload(self, upload: UUID) -> None:
        """Delete an upload.

        Raises:
            NotFound: there is none of that id.
            Conflict: a brand has it as its source, or an active run reads it.
        """
        await self._body("DELETE", f"/uploads/{upload}", tries=1)
