"""The keys that secrets in the database are sealed with: AES-256-GCM, by ``cryptography``.

A sealed value is one byte of the format, four of the key's id, twelve of the nonce, and the
ciphertext with its tag (NIST SP 800-38D). Each key is derived from what the setting says by HKDF
(RFC 5869), one for sealing and one for digests.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from triptych.errors import SettingsError, TriptychError

FIELD = "TRIPTYCH_SEALING_KEY"
KEY_MIN_CHARS = 32
FORMAT = b"\x01"
ID_BYTES = 4
NONCE_BYTES = 12
TAG_BYTES = 16
HEAD_BYTES = len(FORMAT) + ID_BYTES + NONCE_BYTES
DIGEST_BYTES = 16
MAKE_ONE = "Make one with `openssl rand -base64 48` and give it to every process."


class SealBroken(TriptychError):
    """A sealed value was changed, or belongs to another row."""


@dataclass(frozen=True, slots=True)
class _Key:
    id: bytes
    cipher: AESGCM = field(repr=False)
    digests: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> _Key:
        def derived(purpose: bytes) -> bytes:
            info = b"triptych " + purpose
            return HKDF(SHA256(), length=32, salt=None, info=info).derive(text.encode())

        return cls(derived(b"id")[:ID_BYTES], AESGCM(derived(b"seal")), derived(b"digest"))


class KeyRing:
    """The keys in force. The first one seals; all of them open, so that keys can be rotated."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """Create it; without keys it can neither seal nor open.

        Raises:
            SettingsError: a key is too short.
        """
        if any(len(key) < KEY_MIN_CHARS for key in keys):
            raise SettingsError(
                f"A key has fewer than {KEY_MIN_CHARS} characters.", field=FIELD, remedy=MAKE_ONE
            )
        self._keys = [_Key.of(key) for key in keys]

    @classmethod
    def read(cls, text: str) -> KeyRing:
        """Return the ring of keys separated by commas or white space.

        Raises:
            SettingsError: a key is too short.
        """
        return cls(text.replace(",", " ").split())

    def __bool__(self) -> bool:
        """Return whether there is a key."""
        return bool(self._keys)

    @property
    def ids(self) -> Sequence[bytes]:
        """What tells the keys apart, the sealing one's first. Nothing of a key follows from it."""
        return [key.id for key in self._keys]

    def seal(self, plain: bytes, *, place: Sequence[str]) -> bytes:
        """Return a value sealed; it opens only at the same place.

        Args:
            plain: the value.
            place: the table, the column and what names the row.

        Raises:
            SettingsError: there is no key.
        """
        if not self._keys:
            raise SettingsError(
                "A secret is kept sealed, and there is no key for it.", field=FIELD, remedy=MAKE_ONE
            )
        key, nonce = self._keys[0], os.urandom(NONCE_BYTES)
        return FORMAT + key.id + nonce + key.cipher.encrypt(nonce, plain, _associated(place))

    def open(self, sealed: bytes, *, place: Sequence[str]) -> bytes:
        """Return what was sealed at that place.

        Raises:
            SealBroken: it was changed, or sealed at another place.
            SettingsError: none of the keys is the one that it was sealed with.
        """
        if len(sealed) < HEAD_BYTES + TAG_BYTES or not sealed.startswith(FORMAT):
            raise _broken(place)
        key = next((key for key in self._keys if key.id == key_id(sealed)), None)
        if key is None:
            raise key_is_missing(key_id(sealed))
        nonce = sealed[HEAD_BYTES - NONCE_BYTES : HEAD_BYTES]
        try:
            return key.cipher.decrypt(nonce, sealed[HEAD_BYTES:], _associated(place))
        except InvalidTag as error:
            raise _broken(place) from error

    def digests(self, plain: bytes, *, place: Sequence[str]) -> Sequence[str]:
        """Return a digest by each key, the sealing one's first: equal for equal values only.

        Who has no key can neither compute them nor guess values by them.
        """
        text = _associated(place) + b"\0" + plain
        return [
            hmac.digest(key.digests, text, hashlib.sha256)[:DIGEST_BYTES].hex()
            for key in self._keys
        ]

    def is_current(self, sealed: bytes) -> bool:
        """Return whether a value is sealed with the key that seals now."""
        return bool(self._keys) and key_id(sealed) == self._keys[0].id


def key_id(sealed: bytes) -> bytes:
    """Return the id of the key that a value was sealed with."""
    return sealed[len(FORMAT) : len(FORMAT) + ID_BYTES]


def key_is_missing(missing: bytes) -> SettingsError:
    """Return the error of a value whose key is not there."""
    return SettingsError(
        f"Secrets in the database were sealed with a key that is not here (its id is "
        f"{missing.hex()}).",
        field=FIELD,
        remedy="Give the key that they were sealed with, behind a new one if there is one. If it "
        "is lost, set these sources and webhooks again.",
    )


def _associated(place: Sequence[str]) -> bytes:
    parts = [part.encode() for part in place]
    # With lengths, so that no two places are the same bytes.
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _broken(place: Sequence[str]) -> SealBroken:
    return SealBroken(
        f"The sealed value of {' '.join(place)} was changed, or belongs to another row.",
        remedy="Set the source or the webhook again.",
    )
