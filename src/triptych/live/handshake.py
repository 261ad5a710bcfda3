"""Authentication of a connection, as for HTTP requests, before the handshake is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triptych.access.authenticator import Authenticator
from triptych.access.identity import Identity
from triptych.errors import TriptychError

Scope = Mapping[str, Any]
"""An ASGI connection scope."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused: an HTTP status, the reason and the remedy."""

    status: int
    reason: str
    remedy: str | None


async def admitted(authenticator: Authenticator, scope: Scope) -> Identity | Refusal:
    """Return whose a connection is, or why it is refused. Readers may connect."""
    try:
        return await authenticator.admit(scope)
    except TriptychError as error:
        return Refusal(error.status, error.message, error.remedy)
