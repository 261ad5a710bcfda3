"""The port AccessStore: API keys, and secrets that API servers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """The permissions of an identity."""

    READER = "reader"
    OPERATOR = "operator"
    """May read, start, steer and delete."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its token, which only the owner has."""

    name: str
    scope: Scope
    digest: bytes
    """SHA-256 of the token."""
    created_at: datetime
    revoked_at: datetime | None


class AccessStore(Protocol):
    """API keys and shared secrets."""

    async def create_key(self, name: str, scope: Scope, digest: bytes) -> ApiKey:
        """Store a new key.

        Raises:
            KeyExists: a key of that name exists or existed.
        """
        ...

    async def live_keys(self, *, limit: int) -> Sequence[ApiKey]:
        """Return the keys that are not revoked."""
        ...

    async def keys(self) -> Sequence[ApiKey]:
        """Return all keys, including revoked ones, by name."""
        ...

    async def revoke_key(self, name: str) -> ApiKey:
        """Revoke a key.

        Raises:
            KeyNotFound: there is no live key of that name.
        """
        ...

    async def secret(self, name: str) -> bytes:
        """Return a secret that all API servers of this database share."""
        ...
