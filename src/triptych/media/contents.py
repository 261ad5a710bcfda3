"""Content by its hash, at the key of the release that has stored it.

Until commit cd690e2 objects were in two levels of folders. Rows have the key that their object was
stored under; what only knows the hash looks at both.
"""

from __future__ import annotations

from triptych.errors import ObjectDamaged, ObjectMissing
from triptych.objects import ObjectStore, object_key


def older_key(sha256: bytes) -> str:
    """Return the key that content of this SHA-256 was stored under until commit cd690e2."""
    name = sha256.hex()
    return f"sha256/{name[:2]}/{name[2:4]}/{name}"


async def read_content(store: ObjectStore, sha256: bytes) -> bytes:
    """Return the bytes of content.

    Raises:
        ObjectMissing: it is at neither key; `ObjectDamaged` if its bytes have another hash.
        StoreUnavailable: it cannot be read.
    """
    try:
        return await store.get(object_key(sha256))
    except ObjectDamaged:
        raise
    except ObjectMissing:
        older = older_key(sha256)
        if not await store.exists(older):
            raise
        return await store.get(older)


async def has_content(store: ObjectStore, sha256: bytes) -> bool:
    """Return whether content is stored, at either key.

    Raises:
        StoreUnavailable: the store does not respond.
    """
    return await store.exists(object_key(sha256)) or await store.exists(older_key(sha256))
