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
    expires_at: datetime | None = None
    """None: never."""
    brands: frozenset[str] | None = None
    """The only brands that it may read or change; None: all."""


class AccessStore(Protocol):
    """API keys and shared secrets."""

    async def create_key(
        self,
        name: str,
        scope: Scope,
        digest: bytes,
        *,
        expires_at: datetime | None = None,
        brands: frozenset[str] | None = None,
    ) -> ApiKey:
        """Store a new key.

        Raises:
            KeyExists: a key of that name exists or existed.
        """
        ...

    async def live_keys(self, *, limit: int) -> Sequence[ApiKey]:
        """Return the keys that are not revoked, expired ones included."""
        ...

    async def keys(self) -> Sequence[ApiKey]:
        """Return all keys, including revoked ones, by name."""
        ...

    async def revoke_key(self, name: str) -> ApiKey:
        """Revoke a key.

        Raises:
            KeyNotFound: there is no key of that name, or it was revoked before.
        """
        ...

    async def secret(self, name: str) -> bytes:
        """Return a secret that all API servers of this database share."""
        ...
