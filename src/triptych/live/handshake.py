"""Authentication of a connection, as for HTTP requests, before the handshake is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triptych.access.authenticator import Authenticator
from triptych.errors import TriptychError

Scope = Mapping[str, Any]
"""An ASGI connection scope."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused: an HTTP status, the reason and the remedy."""

    status: int
    reason: str
    remedy: str | None


async def refusal_of(authenticator: Authenticator, scope: Scope) -> Refusal | None:
    """Return why a connection is refused; None if it is admitted. Readers may connect."""
    try:
        await authenticator.admit(scope)
    except TriptychError as error:
        return Refusal(error.status, error.message, error.remedy)
    return None
