"""An asset as everybody outside sees it: an answer's entry and a client's object in one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import msgspec
from msgspec import Meta

from triptych.features.picture_people import PicturePeople
from triptych.features.picture_text import PictureText
from triptych.media.file_facts import FileOrigin
from triptych.model import Asset, Metadata
from triptych.snapshots.asset_ids import asset_id, read_asset_id
from triptych.wire import Wire

PHASH_MASK = 2**64 - 1


def phash_text(phash: int) -> str:
    """Return a perceptual hash, kept as a signed integer, as 16 hexadecimal digits."""
    return f"{phash & PHASH_MASK:016x}"


class ColourShown(Wire, frozen=True):
    """A colour of an asset."""

    hex: str
    share: float


class AssetShown(Wire, frozen=True):
    """An asset. Its `id` is the same in every snapshot of its brand."""

    id: str
    brand: str
    run_id: UUID = msgspec.field(name="run")
    url: str
    sha256: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    phash: str | None
    colours: list[ColourShown]
    model: str | None
    metadata: Metadata
    also: Annotated[list[Metadata], Meta(description="Of further rows with the same URL.")]

    @property
    def key(self) -> bytes:
        """The item's key, which its id has."""
        return read_asset_id(self.id)[1]

    @classmethod
    def of(cls, asset: Asset, **more: Any) -> Self:
        """Return an asset with its hashes and colours as text; its embedding is left out."""
        phash = asset.phash
        return cls(
            id=asset_id(asset.brand, asset.key),
            brand=asset.brand,
            run_id=asset.run_id,
            url=asset.url,
            sha256=asset.sha256.hex(),
            media_type=asset.media_type,
            size_bytes=asset.size_bytes,
            width=asset.width,
            height=asset.height,
            phash=None if phash is None else phash_text(phash),
            colours=[ColourShown(f"{each.rgb:06x}", each.share) for each in asset.colours],
            model=asset.model,
            metadata=asset.metadata,
            also=list(asset.also),
            **more,
        )


class AssetWhole(AssetShown, frozen=True, kw_only=True):
    """An asset, and what the AI phase says of it."""

    COMPONENT: ClassVar[str] = "AssetWhole"

    marks: Annotated[Metadata, Meta(description="By name: `tags`, `cluster`, `x`, `y` and others.")]
    text: Annotated[
        PictureText | None,
        Meta(description="Text in the picture; null: it was not read yet, or cannot be read."),
    ] = None
    people: Annotated[
        PicturePeople | None,
        Meta(description="People in it; null: it was not looked at yet, or cannot be read."),
    ] = None
    origin: Annotated[
        FileOrigin | None,
        Meta(description="What its file says of rights and origin; null: it was not read yet."),
    ] = None
