"""Snapshots of real bytes, decoded and embedded as the acquire phase does it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt

from evals.photos import FOLDER
from triptych.ai.context import Context
from triptych.ai.step import Snapshot
from triptych.embedders.embedder import Embedder
from triptych.media.decode import decode
from triptych.model import Colour
from triptych.settings.settings import Settings
from triptych.wiring.models import open_embedder

MAX_PIXELS = 100_000_000
BATCH = 32
NOBODY = UUID(int=0)

Embedding = npt.NDArray[np.float32]
_Seen = tuple[int, int, int, int, str, tuple[Colour, ...]]
"""Perceptual hash, width, height, bytes, media type, colours."""


@cache
def embedder() -> Embedder:
    """Return the embedder of the settings: the bundled one, unless another is configured."""
    opened = open_embedder(Settings.load(), 2)
    if opened is None:
        raise SystemExit("error: no embedder: set TRIPTYCH_EMBEDDER to one.")
    return opened


def acquire(pictures: Mapping[str, bytes], *, context: Context | None = None) -> Snapshot:
    """Return a snapshot of these pictures; their names are the URLs. Rows come in their order.

    What costs is kept in the eval's folder, by model and bytes, for the next run.
    """
    bodies = list(pictures.values())
    model = embedder()
    looked = list(_looked(bodies, model))
    numbers = np.array([seen[:4] for seen, _ in looked], np.int64).reshape(-1, 4)
    digests = [hashlib.sha256(body).digest() for body in bodies]
    names = [hashlib.sha256(name.encode()).digest()[:16] for name in pictures]
    return Snapshot(
        brand="eval",
        run_id=NOBODY,
        keys=np.frombuffer(b"".join(names), np.uint8).reshape(-1, 16),
        urls=tuple(pictures),
        sha256=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32),
        phash=numbers[:, 0],
        widths=numbers[:, 1],
        heights=numbers[:, 2],
        size_bytes=numbers[:, 3],
        model=model.model,
        embeddings=np.stack([vector for _, vector in looked]).astype(np.float16),
        embedded=np.arange(len(bodies)),
        sampled=False,
        media_types=[seen[4] for seen, _ in looked],
        colours=[seen[5] for seen, _ in looked],
        context=context or Context(pixels=lambda row, side: pixels(bodies[row], side)),
    )


def part(whole: Snapshot, rows: npt.NDArray[np.intp]) -> Snapshot:
    """Return only some of a snapshot's assets."""
    look = whole.context.pixels
    return replace(
        whole,
        keys=whole.keys[rows],
        urls=[whole.urls[row] for row in rows],
        sha256=whole.sha256[rows],
        phash=whole.phash[rows],
        widths=whole.widths[rows],
        heights=whole.heights[rows],
        size_bytes=whole.size_bytes[rows],
        embeddings=whole.embeddings[rows],
        embedded=np.arange(rows.size),
        media_types=[whole.media_types[row] for row in rows],
        colours=[whole.colours[row] for row in rows],
        titles=[whole.titles[row] for row in rows] if whole.titles else (),
        context=replace(whole.context, pixels=lambda row, side: look(int(rows[row]), side)),
    )


def pixels(body: bytes, side: int) -> npt.NDArray[np.uint8]:
    """Return a picture squashed into a square, as the AI phase's steps are shown it."""
    return decode(body, size=side, max_pixels=MAX_PIXELS).pixels


def _looked(bodies: Sequence[bytes], model: Embedder) -> Iterator[tuple[_Seen, Embedding]]:
    """Yield what each body shows and its embedding, in their order."""
    for start in range(0, len(bodies), BATCH):
        batch = bodies[start : start + BATCH]
        places = [_place(body, model) for body in batch]
        missing = [at for at, place in enumerate(places) if not place.is_file()]
        if missing:
            decoded = [
                decode(batch[at], size=model.input_size, max_pixels=MAX_PIXELS) for at in missing
            ]
            vectors = model.embed(np.stack([one.pixels for one in decoded]))
            for at, one, vector in zip(missing, decoded, vectors, strict=True):
                places[at].parent.mkdir(parents=True, exist_ok=True)
                colours = [[colour.rgb, colour.share] for colour in one.colours]
                seen = [one.phash, one.width, one.height, len(batch[at]), one.media_type, colours]
                np.savez(places[at], seen=np.array(json.dumps(seen)), vector=vector)
        for place in places:
            with np.load(place) as kept:
                *numbers, media_type, colours = json.loads(str(kept["seen"]))
                shades = tuple(Colour(rgb, share) for rgb, share in colours)
                yield (*numbers, media_type, shades), kept["vector"]


def _place(body: bytes, model: Embedder) -> Path:
    digest = hashlib.sha256(model.model.encode() + b"\0" + body).hexdigest()
    return FOLDER / "seen" / digest[:2] / f"{digest}.npz"
