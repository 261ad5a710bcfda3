"""Identities, and the tokens of API keys.

A token is 256 random bits, so its plain SHA-256 is stored: brute force is infeasible, with or
without the table. A slow hash, which protects guessable passwords, would only slow every request.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from triptych.access.access_store import Scope
from triptych.errors import BadInput, Forbidden

TOKEN_PREFIX = "trk_"  # noqa: S105
"""The prefix by which secret scanners recognise a token."""
TOKEN_BYTES = 32
KEY_NAME_MAX_CHARS = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """The authenticated caller."""

    name: str
    """``local``, ``key:<name>``, ``oidc:email:<address>`` or ``oidc:sub:<subject>``; shown in audit
    events."""
    scope: Scope

    def require(self, scope: Scope) -> None:
        """Refuse an identity without ``scope``.

        Raises:
            Forbidden: the identity lacks the scope.
        """
        if scope is Scope.OPERATOR and self.scope is not Scope.OPERATOR:
            raise Forbidden(
                "This needs the scope operator, and yours is reader.",
                remedy="Use an operator's key: `triptych keys create NAME --scope operator`.",
            )


LOCAL = Identity("local", Scope.OPERATOR)
"""Every caller of an open server: on loopback, without keys."""


def new_token() -> str:
    """Return a new token, which is shown only once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> bytes:
    """Return the stored digest of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def check_key_name(name: str) -> str:
    """Return ``name`` if it is a valid name of an API key.

    Raises:
        BadInput: it is empty, too long, or has characters other than letters, digits and ``-_.@``.
    """
    plain = name.translate(str.maketrans("", "", "-_.@"))
    if len(name) > KEY_NAME_MAX_CHARS or not (plain.isascii() and plain.isalnum()):
        raise BadInput(
            f"Not 1 to {KEY_NAME_MAX_CHARS} letters, digits or any of -_.@.", field="NAME"
        )
    return name
