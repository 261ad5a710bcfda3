"""The formats of an export. Light: who only names one needs no writer."""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    """In which form a snapshot is exported."""

    PARQUET = "parquet"
    """One table, embeddings included."""
    CSV = "csv"
    """One table without embeddings, lists as JSON."""
    WEBDATASET = "webdataset"
    """Tar shards with each asset's bytes, its columns as JSON and its embedding as .npy."""
