"""Exporting a snapshot: page by page, into files of one format."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import msgspec

from triptych.features.feature_store import FeatureStore
from triptych.features.file_feature import FILE, facts_of
from triptych.features.picture_people import PEOPLE, PicturePeople
from triptych.features.picture_text import TEXT, PictureText
from triptych.media.file_facts import FileFacts
from triptych.model import Asset
from triptych.objects import ObjectStore
from triptych.shown_url import encoded_without_credentials
from triptych.snapshots.exports.columns import NO_COLUMNS, OWN, Exported
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer
from triptych.snapshots.exports.metadata_columns import MetadataColumns, MetadataSurvey
from triptych.snapshots.snapshot_store import SnapshotStore

PAGE_ASSETS = 1_000
"""Assets of a table that are read and written at a time."""
PAGE_BODIES = 32
"""Assets with their bytes that are read and written at a time: 1 GiB at most."""


HASH_CHARS = 12
"""Of a brand's SHA-256 in a file's name: 48 bits."""
READABLE_MAX_CHARS = 40
"""Of a brand's name in a file's name. File systems take 255 bytes, and a character has up to 4."""
PLAIN_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?")
"""Names of brands that are those of files as they stand."""
RESERVED_NAME = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Names of devices on Windows."""
HASHED_NAME = re.compile(rf"-[0-9a-f]{{{HASH_CHARS}}}$")
"""A name that looks like that of another brand's files."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A snapshot to export, and the destination."""

    run_id: UUID
    name: str
    format: ExportFormat
    opening: Open


async def export(
    snapshots: SnapshotStore,
    store: ObjectStore,
    wanted: ExportRequest,
    progress: Callable[[int], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
    credentials: Callable[[int], None] = lambda _: None,
    *,
    features: FeatureStore | None = None,
) -> int:
    """Write a snapshot's assets in key order; return their number.

    Holds one page in memory. The same snapshot gives the same rows in the same order. After an
    error the files are not closed, and there is no export. ``note`` is called with sentences on
    what is in another place than one might expect, ``credentials`` once with the number of assets
    whose URLs have some: an export has them whole, so that it is the same brand when it is read
    again. ``features`` have the text in pictures and what files show; without them those
    columns are empty.

    Raises:
        SnapshotCollected: it is no longer kept.
        ObjectMissing: an object is not in the store; `ObjectDamaged` if it is damaged.
        StoreUnavailable: an object cannot be read.
    """
    batch = PAGE_BODIES if wanted.format.needs_bodies else PAGE_ASSETS
    writer: Writer | None = None
    count = secret = 0
    columns = await _metadata_columns(snapshots, wanted)
    for each in columns.notes:
        note(each)
    async for page in snapshots.stream_assets(wanted.run_id, batch=batch):
        marks = await snapshots.marks(wanted.run_id, [asset.key for asset in page])
        texts, people = await _texts(features, page), await _people(features, page)
        facts = await _facts(features, page)
        rows = [
            Exported(
                asset,
                marks.get(asset.key, {}),
                columns,
                texts.get(asset.sha256),
                people.get(asset.sha256),
                facts.get(asset.sha256),
            )
            for asset in page
        ]
        if writer is None:
            writer = await _opened(wanted, rows)
        bodies: list[bytes] = []
        if wanted.format.needs_bodies:
            bodies = await asyncio.gather(
                *(store.get(asset.object_key, size_bytes=asset.size_bytes) for asset in page)
            )
        await asyncio.to_thread(writer.add, rows, bodies)
        count += len(rows)
        secret += _with_credentials(page)
        progress(count)
    if writer is None:
        writer = await _opened(wanted, [])
    await asyncio.to_thread(writer.close)
    credentials(secret)
    return count


async def _texts(features: FeatureStore | None, page: Sequence[Asset]) -> dict[bytes, str]:
    """Return the text in the pictures that were read, by SHA-256."""
    if features is None:
        return {}
    found = await features.read(TEXT, list({asset.sha256 for asset in page}))
    texts = ((sha256, PictureText.of(feature)) for sha256, feature in found.items())
    return {sha256: text.text for sha256, text in texts if text is not None}


async def _people(features: FeatureStore | None, page: Sequence[Asset]) -> dict[bytes, str]:
    """Return how many people the pictures show that were looked at, by SHA-256."""
    if features is None:
        return {}
    found = await features.read(PEOPLE, list({asset.sha256 for asset in page}))
    shown = ((sha256, PicturePeople.of(feature)) for sha256, feature in found.items())
    return {sha256: each.people.value for sha256, each in shown if each is not None}


async def _facts(
    features: FeatureStore | None, page: Sequence[Asset]
) -> dict[bytes, FileFacts | None]:
    """Return what the files show that were read, by SHA-256."""
    if features is None:
        return {}
    found = await features.read(FILE, list({asset.sha256 for asset in page}))
    return {sha256: facts_of(feature) for sha256, feature in found.items()}


def _with_credentials(assets: Sequence[Asset]) -> int:
    """Return how many assets have a credential in their URL, or in one in their metadata."""
    told = [(asset.url, asset.metadata, asset.also) for asset in assets]
    if _shown_whole(told):
        return 0
    return sum(not _shown_whole(one) for one in told)


def _shown_whole(value: object) -> bool:
    body = msgspec.json.encode(value)
    return encoded_without_credentials(body) == body


async def _metadata_columns(snapshots: SnapshotStore, wanted: ExportRequest) -> MetadataColumns:
    """Return the columns of a snapshot's metadata; none unless the format has them."""
    if not wanted.format.metadata_columns:
        return NO_COLUMNS
    survey = MetadataSurvey()
    async for page in snapshots.stream_assets(wanted.run_id, batch=PAGE_ASSETS):
        for asset in page:
            survey.add(asset.metadata)
    return survey.columns(sorted(OWN))


def file_name(brand: str) -> str:
    """Return the name of a brand's files, always the same, and another for every other brand.

    It is valid, and different from that of other brands, on file systems without case and on
    Windows, too. A brand whose name is no such name has a part of its hash behind it.
    """
    plain = PLAIN_NAME.fullmatch(brand) and not RESERVED_NAME.match(brand)
    if plain and not HASHED_NAME.search(brand):
        return brand
    readable = re.sub(r"[^\w-]+", "-", brand)[:READABLE_MAX_CHARS].strip("-") or "brand"
    return f"{readable}-{sha256(brand.encode()).hexdigest()[:HASH_CHARS]}"


async def _opened(wanted: ExportRequest, first: list[Exported]) -> Writer:
    """Open the writer; the first embedding sets the length of all."""
    vectors = [row.asset.embedding for row in first if row.asset.embedding is not None]
    dimension = len(vectors[0]) if vectors else None
    return await asyncio.to_thread(wanted.format.open, wanted.name, dimension, wanted.opening)
