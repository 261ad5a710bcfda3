"""Errors of the embedded Postgres.

::

    EmbeddedError
    ├── PostgresServerError    it cannot be created, started or stopped
    ├── DataFolderInUse        another process owns the data folder
    └── DataFolderUnusable     the folder cannot be created, opened or locked
"""

from __future__ import annotations


class EmbeddedError(Exception):
    """The embedded Postgres failed; carries a remedy, if one is known."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """One line: what is wrong and, where known, what to do about it."""
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class PostgresServerError(EmbeddedError):
    """The embedded Postgres cannot be created, started or stopped."""


class DataFolderInUse(EmbeddedError):
    """Another process is using this data folder."""


class DataFolderUnusable(EmbeddedError):
    """The data folder cannot be created, opened or locked."""
