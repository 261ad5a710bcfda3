"""Photograph, drawing or logo: a classification of small copies of the pictures.

Seven measures of a picture are the features of a logistic regression with the weights below.
They were fitted to 187 photographs (wallpapers, and cut-outs on white), 285 drawings (emoji,
cartoons) and 250 logos; in ten-fold
cross-validation 86 % were classified correctly: 87 % of the photographs, 83 % of the drawings, 88 %
of the logos. Most errors are cases on which people would not agree either: a plain emoji taken for
a logo, a shaded logo for a drawing.

Only the first `LOOKED_MAX` pictures by key, an even sample, are read. The kinds of the others are
predicted from those, by their embeddings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from triptych.ai.points import Floats, Indices, blocks, find_components, find_points
from triptych.ai.step import Snapshot

KINDS = ("photograph", "drawing", "logo")
LOOKED_MAX = 3_000
"""The most pictures that are read and decoded."""
SIDE = 64
FLAT = 2
"""Largest step between neighbouring pixels, of 255 in any channel, that counts as flat."""
SOFT = 24
"""Largest step that counts as shading by light and lenses; larger ones are lines or texture."""
HARD = 48
"""Smallest step that counts as an edge."""
GROUND = 10
"""Largest distance of a background pixel from the border's median colour."""
COARSE_BITS = 4
"""Bits per channel when colours are counted."""
MEASURES = ("soft", "flat", "hard", "colours", "entropy", "ground", "subject")
"""The features. Five are of the subject: the pixels that differ from the background where the
border is mostly of one colour, else the whole picture. They are the shares of shaded, flat and edge
pixels, the binary logarithm of the number of colours that make up nine tenths of it, and the
entropy of its colours in bits. The others are the share of the border that is background, and the
share of the picture that is subject."""
WEIGHTS = np.array(
    [
        [2.7, -4.2, -6.0, -0.3, 0.7, -3.2, -1.0],
        [-2.6, 1.5, -2.3, 0.6, -0.2, 1.3, 1.1],
        [-0.1, 2.7, 8.3, -0.3, -0.5, 1.9, -0.2],
    ]
)
BIAS = np.array([3.3, -1.8, -1.5])
"""A row for each of `KINDS`, a column for each of `MEASURES`."""
BLOCK_ROWS = 4_096
UNKNOWN = -1


def find_kinds(snapshot: Snapshot, progress: Callable[[float], None]) -> tuple[Indices, int]:
    """Return each asset's index in `KINDS`, or `UNKNOWN`, and the number of pictures read.

    An asset's kind is unknown when it was not read, or its object could not be read, and it has no
    embedding to predict it from.
    """
    kinds = np.full(len(snapshot), UNKNOWN, np.intp)
    keys = snapshot.keys.view(f"S{snapshot.keys.shape[1]}").ravel()
    looked = np.argsort(keys)[:LOOKED_MAX]
    for done, asset in enumerate(looked.tolist(), start=1):
        pixels = snapshot.context.pixels(asset, SIDE)
        if pixels is not None:
            kinds[asset] = int((WEIGHTS @ measures(pixels) + BIAS).argmax())
        progress(done / looked.size)
    seen = int((kinds != UNKNOWN).sum())
    _learn(snapshot, kinds)
    return kinds, seen


def measures(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the `MEASURES` of a picture, (side, side, 3) RGB."""
    wide = pixels.astype(np.int16)
    steps = np.zeros(wide.shape[:2], np.int16)
    steps[:, :-1] = np.abs(np.diff(wide, axis=1)).max(axis=2)
    steps[:-1] = np.maximum(steps[:-1], np.abs(np.diff(wide, axis=0)).max(axis=2))
    border = np.concatenate([wide[0], wide[-1], wide[:, 0], wide[:, -1]])
    middle = np.median(border, axis=0)
    ground = float((np.abs(border - middle).max(axis=1) <= GROUND).mean())
    subject = np.abs(wide - middle).max(axis=2) > GROUND
    if ground < 0.5:  # No plain background: the whole picture is the subject.
        subject[:] = True
    size = max(int(subject.sum()), 1)
    coarse = (pixels >> (8 - COARSE_BITS)).astype(np.intp)[subject]
    packed = coarse @ np.array([1 << 2 * COARSE_BITS, 1 << COARSE_BITS, 1])
    shares = np.sort(np.bincount(packed, minlength=1))[::-1] / size
    colours = int(np.searchsorted(np.cumsum(shares), 0.9)) + 1
    there = shares[shares > 0]
    of_subject = steps[subject]
    return np.array(
        [
            ((of_subject > FLAT) & (of_subject <= SOFT)).sum() / size,
            (of_subject <= FLAT).sum() / size,
            (of_subject > HARD).sum() / size,
            np.log2(colours),
            -(there * np.log2(there)).sum(),
            ground,
            subject.mean(),
        ]
    )


def _learn(snapshot: Snapshot, kinds: Indices) -> None:
    """Predict the kinds of the assets that were not read, where they have embeddings."""
    known = kinds[snapshot.embedded]
    taught, asked = np.flatnonzero(known != UNKNOWN), np.flatnonzero(known == UNKNOWN)
    if not taught.size or not asked.size:
        return
    if np.unique(known[taught]).size == 1:
        kinds[snapshot.embedded[asked]] = known[taught[0]]
        return
    from sklearn.linear_model import LogisticRegression  # Slow import: one second.

    components = find_components(snapshot, find_points(snapshot))

    def small(rows: Indices) -> Floats:
        return components.of(snapshot.embeddings[rows])

    model = LogisticRegression(max_iter=1_000).fit(small(taught), known[taught])
    for block in blocks(asked.size, BLOCK_ROWS):
        rows = asked[block]
        kinds[snapshot.embedded[rows]] = model.predict(small(rows))
