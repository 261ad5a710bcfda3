"""Identities, and the tokens of API keys.

A token is 256 random bits, so its plain SHA-256 is stored: brute force is infeasible, with or
without the table. A slow hash, which protects guessable passwords, would only slow every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from triptych.access.access_store import Scope
from triptych.errors import BadInput, Forbidden
from triptych.messages import check_brand

TOKEN_PREFIX = "trk_"  # noqa: S105
"""The prefix by which secret scanners recognise a token."""
TOKEN_BYTES = 32
TOKEN_MIN_CHARS = 43
"""Base64url of `TOKEN_BYTES`."""
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_MIN_CHARS},128}}")
KEY_NAME_MAX_CHARS = 64
KEY_BRANDS_MAX = 100
"""Brands of a limited key."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The authenticated caller."""

    name: str
    """``local``, ``key:<name>``, ``oidc:email:<address>`` or ``oidc:sub:<subject>``; shown in audit
    events."""
    scope: Scope
    brands: frozenset[str] | None = None
    """The only brands that the caller may read or change; None: all."""
    expires_at: datetime | None = None
    """When the caller's key expires; None: never, or it is no key."""

    def require_brands(self, brands: Collection[str]) -> None:
        """Refuse an identity that is limited to other brands, whether these exist or not.

        Raises:
            Forbidden: the identity may not read one of them.
        """
        if self.brands is not None and not self.brands.issuperset(brands):
            raise Forbidden(
                f"This key is limited to {_listed(self.brands)}.",
                remedy="Use a key for this brand: `triptych keys create NAME --brand BRAND`.",
            )

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


def _listed(brands: Collection[str]) -> str:
    names = ", ".join(repr(name) for name in sorted(brands))
    return f"the brand {names}" if len(brands) == 1 else f"the brands {names}"


LOCAL = Identity("local", Scope.OPERATOR)
"""Every caller of an open server: on loopback, without keys."""


def new_token() -> str:
    """Return a new token, which is shown only once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def check_token(text: str) -> str:
    """Return a token that was made elsewhere, if it is as hard to guess as one of ours.

    Raises:
        BadInput: it is shorter, or has characters other than letters, digits, ``-`` and ``_``.
    """
    if not _TOKEN.fullmatch(text):
        raise BadInput(
            f"A token has at least {TOKEN_MIN_CHARS} letters, digits, - or _.", field="--from-env"
        )
    return text


def digest(token: str) -> bytes:
    """Return the stored digest of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def check_key_brands(names: Collection[str]) -> frozenset[str]:
    """Return the brands of a limited key. They need not exist yet.

    Raises:
        BadInput: there are none, or more than `KEY_BRANDS_MAX`.
        InvalidBrand: one is no brand's name.
    """
    brands = frozenset(map(check_brand, names))
    if not 1 <= len(brands) <= KEY_BRANDS_MAX:
        raise BadInput(f"A key has 1 to {KEY_BRANDS_MAX} brands.", field="--brand")
    return brands


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
