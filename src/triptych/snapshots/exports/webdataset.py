"""The export format ``webdataset``: tar shards with each asset's bytes, columns and embedding."""

from __future__ import annotations

import io
import mimetypes
import tarfile
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np
import orjson
from typing_extensions import override

from triptych.media.svg_source import GZIP, SVG
from triptych.objects import INLINE
from triptych.snapshots.exports.columns import Exported, described
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer

SHARD_MAX_BYTES = 512 * 1024 * 1024
"""A shard is closed when it is larger than this."""
SHARD_MAX_SAMPLES = 10_000


class ShardWriter(Writer):
    """Tar shards for WebDataset: files of one sample share the name before the first dot."""

    def __init__(self, opening: Callable[[int], IO[bytes]]) -> None:
        self._opening = opening
        self._number = 0
        self._samples = 0
        self._written = 0
        self._file: IO[bytes] | None = None
        self._tar: tarfile.TarFile | None = None

    @override
    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        for row, body in zip(rows, bodies, strict=True):
            tar = self._shard()
            name = row.asset.key.hex()
            self._put(tar, f"{name}{_ending(row.asset.media_type, body)}", body)
            self._put(tar, f"{name}.json", orjson.dumps(described(row)))
            if row.asset.embedding is not None:
                npy = io.BytesIO()
                np.save(npy, row.asset.embedding.astype(np.float32))
                self._put(tar, f"{name}.npy", npy.getvalue())
            self._samples += 1
            if self._samples >= SHARD_MAX_SAMPLES or self._written >= SHARD_MAX_BYTES:
                self._finish()

    def _shard(self) -> tarfile.TarFile:
        if self._tar is None:
            self._file = self._opening(self._number)
            self._tar = tarfile.TarFile.open(
                fileobj=self._file, mode="w|", format=tarfile.USTAR_FORMAT
            )
            self._number += 1
            self._samples = self._written = 0
        return self._tar

    def _put(self, tar: tarfile.TarFile, name: str, content: bytes) -> None:
        # Without a timestamp: the same snapshot gives the same bytes.
        told = tarfile.TarInfo(name)
        told.size = len(content)
        told.mode = 0o644
        tar.addfile(told, io.BytesIO(content))
        self._written += len(content)

    def _finish(self) -> None:
        if self._tar is not None:
            self._tar.close()
        if self._file is not None:
            self._file.close()
        self._tar = self._file = None

    @override
    def close(self) -> None:
        if self._number == 0:
            self._shard()
        self._finish()


def _ending(media_type: str, body: bytes) -> str:
    if media_type == SVG and body.startswith(GZIP):
        return ".svgz"
    if (known := INLINE.get(media_type)) is not None:
        return f".{known}"
    # What it knows depends on the machine.
    return mimetypes.guess_extension(media_type) or ".bin"


def _open(name: str, _dimension: int | None, opening: Open) -> Writer:
    return ShardWriter(lambda number: opening(f"{name}-{number:06d}.tar"))


WEBDATASET = ExportFormat(
    name="webdataset",
    title="WebDataset",
    description="Tar files with the bytes, for training.",
    open=_open,
    needs_bodies=True,
)
