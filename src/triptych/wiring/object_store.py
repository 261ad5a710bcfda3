"""Opening the object store that the settings name, and the thumbnails in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from triptych.embedded.data_folder import OBJECTS
from triptych.errors import SettingsError
from triptych.media.signed_thumbnails import SignedThumbnails, origin_of
from triptych.media.thumbnails import Thumbnails
from triptych.objects import DamageNotes, ObjectStore, open_store
from triptych.settings.settings import Settings
from triptych.wiring.server_decoders import server_decoder_count, server_decoders


async def open_objects(settings: Settings, damage: DamageNotes | None = None) -> ObjectStore:
    """Open the object store and check that it can be used.

    ``damage`` has, and is told, which objects are damaged.

    Raises:
        StoreUnavailable: the object store cannot be used.
    """
    store = open_store(settings.store_url, settings.data / OBJECTS, damage)
    await store.check()
    return store


@asynccontextmanager
async def open_thumbnails(
    settings: Settings, store: ObjectStore | None = None
) -> AsyncIterator[Thumbnails]:
    """Yield the thumbnails of the object store, with decoders of their own.

    Raises:
        StoreUnavailable: the object store cannot be used.
    """
    store = store or await open_objects(settings)
    count = server_decoder_count()
    decoders = server_decoders(settings, count)
    thumbnails = Thumbnails(store, decoders, at_once=count, max_pixels=settings.decode_max_pixels)
    try:
        yield thumbnails
    finally:
        await thumbnails.close()
        decoders.close()


async def signed_thumbnails(
    settings: Settings, store: ObjectStore, thumbnails: Thumbnails
) -> SignedThumbnails | None:
    """Return where browsers read thumbnails from the store itself; None if they do not.

    Raises:
        SettingsError: they shall, and the store signs no URLs.
        StoreUnavailable: there are no credentials to sign with.
    """
    if not settings.direct_thumbnails:
        return None
    origin = await origin_of(store)
    if origin is None:
        raise SettingsError(
            "Only S3 signs URLs of thumbnails.",
            field="TRIPTYCH_DIRECT_THUMBNAILS",
            remedy="Leave it out, or set TRIPTYCH_STORE_URL=s3://BUCKET.",
        )
    return SignedThumbnails(store, thumbnails, origin)
