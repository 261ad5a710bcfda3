"""Pictures as a run would acquire them, without fetching or decoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from triptych.gather.urls import item_key
from triptych.model import Colour, ItemResult, Metadata, NewItem, Policy, Run, RunKind, Staged
from triptych.objects import object_key
from triptych.testing.memory_stores import MemoryStores

POLICY = Policy(tolerated_failures=0.0, max_attempts=1, deadline_s=3600.0)
MODEL = "testing"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for a test snapshot."""

    url: str
    width: int = 100
    """In pixels."""
    height: int = 100
    body: bytes = b""
    """Its bytes. By default, all pictures have different bytes."""
    media_type: str = "image/png"
    phash: int = 0
    """Perceptual hash: 64 bits as a signed integer."""
    embedding: Sequence[float] | None = None
    """Normalised to a unit vector."""
    colours: tuple[Colour, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    also: Sequence[Metadata] = ()
    """The metadata of further rows of the list with the same URL."""
    pixels: npt.NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    """(height, width, 3), RGB, for steps that look at it. They replace ``width`` and ``height``,
    and stand for its bytes if ``body`` is empty. Without pixels, its object is missing."""

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels is not None and (
            pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8
        ):
            raise ValueError(
                f"The pixels of {self.url} are {pixels.dtype} of the shape {pixels.shape}; "
                "they have to be uint8 of the shape (height, width, 3)."
            )

    @property
    def key(self) -> bytes:
        """The asset's key."""
        return item_key(self.url)

    @property
    def content(self) -> bytes:
        """The bytes that represent it. Two pictures of the same pixels have the same."""
        if self.body or self.pixels is None:
            return self.body or self.url.encode()
        return str(self.pixels.shape).encode() + self.pixels.tobytes()

    @property
    def sha256(self) -> bytes:
        """The SHA-256 of its content, by which features are kept."""
        return hashlib.sha256(self.content).digest()

    def staged(self) -> Staged:
        """Return the result of acquiring it."""
        digest = self.sha256
        height, width = (self.height, self.width) if self.pixels is None else self.pixels.shape[:2]
        vector = None if self.embedding is None else np.asarray(self.embedding, np.float32)
        return Staged(
            sha256=digest,
            object_key=object_key(digest),
            media_type=self.media_type,
            size_bytes=len(self.content),
            width=width,
            height=height,
            phash=self.phash,
            embedding=None if vector is None else vector / np.linalg.norm(vector),
            model=None if vector is None else MODEL,
            colours=self.colours,
        )


async def commit_pictures(
    stores: MemoryStores, pictures: Sequence[Picture], brand: str = "brand"
) -> Run:
    """Commit pictures as a brand's snapshot, by the transactions of a run.

    Raises:
        RunEnded: the brand already had an active run.
    """
    opened = await stores.runs.open_run(
        brand,
        run_id=uuid4(),
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    run_id = opened.run.id
    items = [
        NewItem(one.key, one.url, metadata)
        for one in pictures
        for metadata in (one.metadata, *one.also)
    ]
    await stores.runs.expect(run_id, items, cursor=None, limit=len(items))
    await stores.runs.seal(run_id)
    results = [ItemResult(one.key, one.staged()) for one in pictures]
    await stores.runs.settle(run_id, results, limit=len(items))
    return await stores.runs.commit(run_id)
