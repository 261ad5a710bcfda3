"""The port AccessStore: API keys, and what API servers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """What an identity may do."""

    READER = "reader"
    OPERATOR = "operator"
    """Reads, starts, steers, deletes."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without the token that only its owner has."""

    name: str
    scope: Scope
    digest: bytes
    """SHA-256 of the token."""
    created_at: datetime
    revoked_at: datetime | None


class AccessStore(Protocol):
    """API keys and shared secrets."""

    async def create_key(self, name: str, scope: Scope, digest: bytes) -> ApiKey:
        """Keep a new key.

        Raises:
            KeyExists: there is, or was, one of that name.
        """
        ...

    async def live_keys(self, *, limit: int) -> Sequence[ApiKey]:
        """Return the keys that are not revoked."""
        ...

    async def keys(self) -> Sequence[ApiKey]:
        """Return every key there ever was, by name."""
        ...

    async def revoke_key(self, name: str) -> ApiKey:
        """End a key.

        Raises:
            KeyNotFound: there is no live one of that name.
        """
        ...

    async def secret(self, name: str) -> bytes:
        """Return a secret that all API servers of this database share."""
        ...
