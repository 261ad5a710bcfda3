"""What disks, restored backups and people do to stored bytes, in a store of whatever kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import obstore

from triptych.objects import ObjectStore

Damage = Callable[[bytes], bytes]


def flipped(body: bytes, *, at: float = 0.5) -> bytes:
    """Return the body with one bit flipped, at a share of its length."""
    place = min(len(body) - 1, int(len(body) * at))
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


def first_flipped(body: bytes) -> bytes:
    return flipped(body, at=0.0)


def last_flipped(body: bytes) -> bytes:
    return flipped(body, at=1.0)


def emptied(_body: bytes) -> bytes:
    return b""


def cut(body: bytes) -> bytes:
    return body[:-1]


def zeroed(body: bytes) -> bytes:
    return bytes(len(body))


def longer(body: bytes) -> bytes:
    return body + b"\0"


def doubled(body: bytes) -> bytes:
    return body * 2


SAME_SIZE: Mapping[str, Damage] = MappingProxyType(
    {
        "flipped": flipped,
        "first_flipped": first_flipped,
        "last_flipped": last_flipped,
        "zeroed": zeroed,
    }
)
DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {**SAME_SIZE, "emptied": emptied, "cut": cut, "longer": longer, "doubled": doubled}
)


def overwrite(store: ObjectStore, key: str, body: bytes) -> None:
    """Write bytes under a key past the store's checks, as whoever has access to it can."""
    obstore.put(store._store, key, body, mode="overwrite", use_multipart=False)


def read_raw(store: ObjectStore, key: str) -> bytes:
    """Return the bytes under a key as they are."""
    return bytes(obstore.get(store._store, key).bytes())


def damage(store: ObjectStore, key: str, how: Damage) -> None:
    """Damage the object under a key."""
    overwrite(store, key, how(read_raw(store, key)))


def swap(store: ObjectStore, one: str, other: str) -> None:
    """Put each of two objects under the key of the other."""
    bodies = read_raw(store, one), read_raw(store, other)
    overwrite(store, one, bodies[1])
    overwrite(store, other, bodies[0])
